"""Transports with one fault each, and the check that has to find it."""

from __future__ import annotations

__all__ = ["MUTANTS"]

import asyncio
import errno
import os
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tests.conformance.harnesses.memory import MemoryTransport

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MUTANTS: list[tuple[type[MemoryTransport], str]] = []


def caught_by(check: str) -> Any:
    def add(mutant: type[MemoryTransport]) -> type[MemoryTransport]:
        MUTANTS.append((mutant, check))
        return mutant

    return add


# --- receiving


@caught_by("bytes_come_in_order_and_never_more_than_asked_for")
class GivesMoreThanAskedFor(MemoryTransport):
    async def recv(self, bufsize: int) -> bytes:
        return await super().recv(bufsize * 2)


@caught_by("a_short_piece_is_delivered_without_waiting_for_more")
class FillsTheWholeBuffer(MemoryTransport):
    async def recv_into(self, buffer: WriteableBuffer) -> int:
        with memoryview(buffer) as view:
            count = 0
            while count < view.nbytes and not self._incoming.ended:
                count += await super().recv_into(view[count:])
            return count


@caught_by("receiving_nothing_neither_waits_nor_takes_anything")
class WaitsForNothing(MemoryTransport):
    async def recv(self, bufsize: int) -> bytes:
        await self._wait(self._incoming, lambda: bool(self._incoming.data))
        return await super().recv(bufsize)


@caught_by("a_negative_bufsize_is_refused_and_harmless")
class TakesANegativeBufsizeForAll(MemoryTransport):
    async def recv(self, bufsize: int) -> bytes:
        return await super().recv(1 << 16 if bufsize < 0 else bufsize)


@caught_by("recv_into_takes_any_writable_contiguous_buffer")
class CountsItemsForBytes(MemoryTransport):
    async def recv_into(self, buffer: WriteableBuffer) -> int:
        data = await self.recv(len(memoryview(buffer)))
        memoryview(buffer)[: len(data)] = data
        return len(data)

    async def recv(self, bufsize: int) -> bytes:
        await self._wait(self._incoming, lambda: bool(self._incoming.data or self._incoming.ended))
        return self._incoming.take(bufsize)


@caught_by("recv_into_keeps_no_hold_of_the_buffer")
class KeepsTheBuffer(MemoryTransport):
    async def recv_into(self, buffer: WriteableBuffer) -> int:
        self._kept = memoryview(buffer)
        return await super().recv_into(buffer)


@caught_by("the_end_comes_after_all_bytes_and_stays")
class EndsOnlyOnce(MemoryTransport):
    async def recv_into(self, buffer: WriteableBuffer) -> int:
        if not (count := await super().recv_into(buffer)):
            self._incoming.ended = False
        return count


@caught_by("a_reset_is_an_error_and_not_the_end")
class TakesAResetForTheEnd(MemoryTransport):
    async def recv_into(self, buffer: WriteableBuffer) -> int:
        try:
            return await super().recv_into(buffer)
        except ConnectionResetError:
            return 0


@caught_by("a_cancelled_reception_loses_no_byte")
class TakesBeforeItIsSureToReturn(MemoryTransport):
    async def recv_into(self, buffer: WriteableBuffer) -> int:
        count = await super().recv_into(buffer)
        await self._backend.coro_yield()
        return count


@caught_by("the_end_of_the_stream_is_not_lost_by_cancellation")
class ForgetsTheEndWhenCancelled(MemoryTransport):
    async def recv_into(self, buffer: WriteableBuffer) -> int:
        try:
            return await super().recv_into(buffer)
        except asyncio.CancelledError:
            self._incoming.ended = False
            raise


# --- sending


@caught_by("any_contiguous_buffer_can_be_sent")
class SendsItemsForBytes(MemoryTransport):
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await super().send_all(bytes(data)[: len(data)])


@caught_by("empty_buffers_send_nothing")
class TakesNothingForTheEnd(MemoryTransport):
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await super().send_all(data)
        if not data:
            await self.send_eof()


@caught_by("a_buffer_is_free_again_once_it_was_sent")
class KeepsWhatItHasSent(MemoryTransport):
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._kept = memoryview(data)
        await super().send_all(data)


@caught_by("nothing_is_sent_if_the_iterable_fails")
class SendsWhileItIterates(MemoryTransport):
    async def send_all_from_iterable(self, iterable_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        for data in iterable_of_data:
            await self.send_all(data)


@caught_by("a_sender_waits_for_a_peer_that_does_not_receive")
class SendsWithoutBound(MemoryTransport):
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._outgoing.data += data
        self._outgoing.changed()


@caught_by("sending_after_send_eof_is_an_error")
class SendsIntoTheVoid(MemoryTransport):
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if not self._outgoing.ended:
            await super().send_all(data)


@caught_by("sending_after_send_eof_is_an_error")
class RaisesAnotherErrorAfterTheEnd(MemoryTransport):
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self._outgoing.ended:
            raise RuntimeError("the stream has ended")
        await super().send_all(data)


@caught_by("send_eof_on_a_closed_transport_is_harmless")
class RefusesToHalfCloseWhatIsClosed(MemoryTransport):
    async def send_eof(self) -> None:
        if self._closing:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        await super().send_eof()


@caught_by("a_reset_ends_a_sender_that_waits")
class IsNotToldOfAReset(MemoryTransport):
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await super().send_all(data)
        except ConnectionError:
            await self._backend.sleep_forever()


@caught_by("both_directions_end_independently")
class ClosesWithTheLastDirection(MemoryTransport):
    def is_closing(self) -> bool:
        return super().is_closing() or (self._incoming.ended and self._outgoing.ended)


@caught_by("send_eof_comes_after_all_bytes_and_leaves_receiving_open")
class HalfClosesWhole(MemoryTransport):
    async def send_eof(self) -> None:
        await super().send_eof()
        self._incoming.ended = True


# --- sharing


@caught_by("a_second_reader_is_refused_and_the_first_goes_on")
class HasManyReaders(MemoryTransport):
    async def recv_into(self, buffer: WriteableBuffer) -> int:
        self._receiving = False
        return await super().recv_into(buffer)


@caught_by("a_reader_is_free_to_go_once_cancelled")
class StaysBusyWhenCancelled(MemoryTransport):
    async def recv_into(self, buffer: WriteableBuffer) -> int:
        try:
            return await super().recv_into(buffer)
        except asyncio.CancelledError:
            self._receiving = True
            raise


@caught_by("a_second_writer_is_refused_or_comes_after_the_first")
class MixesWriters(MemoryTransport):
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._sending = False
        await super().send_all(data)


@caught_by("a_waiting_sender_does_not_stop_receiving")
class DoesOneThingAtATime(MemoryTransport):
    async def recv_into(self, buffer: WriteableBuffer) -> int:
        while self._sending:
            await self._backend.sleep(0.001)
        return await super().recv_into(buffer)


# --- closing


@caught_by("is_closing_holds_as_soon_as_aclose_was_called")
class ClosesLate(MemoryTransport):
    async def aclose(self) -> None:
        for _ in range(3):
            await self._backend.coro_yield()
        await super().aclose()


@caught_by("what_was_accepted_is_sent_before_the_end")
class DropsWhatItHasAccepted(MemoryTransport):
    async def aclose(self) -> None:
        self._outgoing.data.clear()
        await super().aclose()


@caught_by("closing_wakes_a_task_that_receives")
class ClosesBehindTheReader(MemoryTransport):
    def _close(self) -> None:
        self._closing = self._outgoing.ended = True


@caught_by("closing_again_is_harmless")
class ClosesOnce(MemoryTransport):
    async def aclose(self) -> None:
        if self._closing:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        await super().aclose()


@caught_by("closing_a_broken_connection_is_harmless")
class CannotCloseWhatIsBroken(MemoryTransport):
    async def aclose(self) -> None:
        if self._incoming.broken and not self._closing:
            await super().aclose()
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        await super().aclose()


@caught_by("a_closed_transport_refuses_everything")
class SendsWhenClosed(MemoryTransport):
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closing:
            await super().send_all(data)


@caught_by("closing_wakes_who_receives_although_the_peer_does_not")
class SendsBeforeItWakesReceivers(MemoryTransport):
    async def aclose(self) -> None:
        while self._outgoing.data and not self._incoming.ended:
            await self._outgoing.wait(self._backend)
        await super().aclose()


@caught_by("a_cancelled_close_closes_at_once")
class StaysOpenWhenItsCloseIsCancelled(MemoryTransport):
    async def aclose(self) -> None:
        while self._outgoing.data:
            await self._outgoing.wait(self._backend)
        await super().aclose()


@caught_by("what_is_dropped_while_open_warns_and_is_closed")
class WarnsOfSomethingElse(MemoryTransport):
    def __del__(self) -> None:
        if not self._closing:
            warnings.warn("dropped", ResourceWarning, stacklevel=2, source=self)
        self._close()


@caught_by("what_is_dropped_while_open_warns_and_is_closed")
class IsDroppedInSilence(MemoryTransport):
    def __del__(self) -> None:
        self._close()


# --- what it leaves behind


@caught_by("questions_and_answers_alternate")
class LeavesADescriptor(MemoryTransport):
    async def recv(self, bufsize: int) -> bytes:
        if not hasattr(self, "_descriptor"):
            self._descriptor = os.memfd_create("left behind")
            type(self).left.append(self._descriptor)
        return await super().recv(bufsize)

    left: list[int] = []  # noqa: RUF012 - closed by the test


@caught_by("questions_and_answers_alternate")
class LeavesATask(MemoryTransport):
    async def aclose(self) -> None:
        self._task = asyncio.create_task(self._backend.sleep_forever())
        await super().aclose()


@caught_by("questions_and_answers_alternate")
class FailsInTheEventLoop(MemoryTransport):
    async def aclose(self) -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await super().aclose()


@caught_by("leaving_the_context_closes")
class DropsSomethingElse(MemoryTransport):
    async def aclose(self) -> None:
        type(self)(self._backend, self._incoming, self._outgoing)
        await super().aclose()
