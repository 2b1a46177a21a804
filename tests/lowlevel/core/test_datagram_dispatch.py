"""The conversations of a datagram server, driven by hand."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Hashable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.lowlevel.core.by_hand import ByHand, suspend

from easynetwork.exceptions import DatagramProtocolParseError, DeserializeError, UnsupportedOperation
from easynetwork.lowlevel._core.ancillary import TruncatedMessages
from easynetwork.lowlevel._core.datagram_codec import DatagramCodec
from easynetwork.lowlevel._core.datagram_dispatch import Backlog, Clients, Conversation, DatagramDispatcher
from easynetwork.lowlevel._core.faults import Origin
from easynetwork.lowlevel._core.handler_generators import HandlerGenerator
from easynetwork.lowlevel._core.requirements import DATAGRAM, IDLE, NO_MORE, STEPS_PER_TURN, TURN, Wait
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams
from easynetwork.protocol import DatagramProtocol
from easynetwork.serializers.abc import AbstractPacketSerializer


class Cancelled(BaseException):
    """What an event loop throws."""


def _is_cancellation(exc: BaseException) -> bool:
    return isinstance(exc, Cancelled)


class Text(AbstractPacketSerializer[bytes, bytes]):
    """Bytes are packets. Those that begin with ``!`` are invalid, those with ``?`` are met with a bug."""

    def serialize(self, packet: bytes) -> bytes:
        return packet

    def deserialize(self, data: bytes) -> bytes:
        if data.startswith(b"!"):
            raise DeserializeError("invalid")
        if data.startswith(b"?"):
            raise ZeroDivisionError
        return data


class Client:
    def __init__(self, address: Any) -> None:
        self.address = address


class Server:
    """A dispatcher, and what it has reported.

    Parameters:
        yields: what a generator yields, in turn. The generator notes what its yields return and raise.
        packets: how many packets and errors a generator takes; None for all.
        handle: another handler instead.
    """

    def __init__(
        self,
        *yields: Any,
        packets: int | None = None,
        handle: Callable[[Client], HandlerGenerator[Any]] | None = None,
        ancillary_bufsize: int | None = None,
        on_unused: Callable[[Any, Any], object] | None = None,
    ) -> None:
        self._yields = yields or (None,)
        self._packets = packets
        self.log: list[Any] = []
        self.errors: list[tuple[Hashable, BaseException, Origin | None]] = []
        self.clients: Clients[Client] = Clients(Client)
        self.dispatcher: DatagramDispatcher[Client] = DatagramDispatcher(
            handle or self._handle,
            DatagramCodec(DatagramProtocol(Text())),
            self.clients,
            Backlog(),
            lambda *report: self.errors.append(report),
            _is_cancellation,
            ancillary_bufsize=ancillary_bufsize,
            on_unused=on_unused,
        )

    def converse(self, address: Any = "address") -> tuple[Conversation, ByHand]:
        conversation = Conversation(self.dispatcher, address)
        return conversation, ByHand(conversation.run())

    async def _handle(self, client: Client) -> HandlerGenerator[Any]:
        turn = 0
        while turn != self._packets:
            turn += 1
            try:
                packet = yield self._yields[turn % len(self._yields) - 1]
            except GeneratorExit:
                self.log.append("closed")
                raise
            except BaseException as exc:
                self.log.append(type(exc))
            else:
                self.log.append(packet)


def answer_with_kept(conversation: Conversation, run: ByHand) -> list[Any]:
    """Answer with what is queued, as drivers do. Return all that was required."""
    required = [run.required]
    while run.required is TURN or conversation.has_kept():
        required.append(run.answer(None if run.required is TURN else conversation.take()))
    return required


# ----------------------------------------------------------------------------------------------------------- datagrams


def test_a_conversation_begins_idle() -> None:
    server = Server()
    _, run = server.converse()
    assert run.required is IDLE
    assert server.log == []


def test_each_datagram_is_a_packet() -> None:
    server = Server()
    _, run = server.converse()
    assert run.answer(b"a") is DATAGRAM
    assert run.answer(b"b") is DATAGRAM
    assert run.answer(b"") is DATAGRAM
    assert server.log == [b"a", b"b", b""]


def test_each_generator_gets_a_datagram() -> None:
    server = Server(packets=1)
    _, run = server.converse()
    for datagram in (b"a", b"b", b"c"):
        assert run.answer(datagram) is IDLE
    assert server.log == [b"a", b"b", b"c"]


def test_datagrams_that_were_kept_come_in_order() -> None:
    server = Server()
    conversation, run = server.converse()
    assert not conversation.has_kept()
    assert conversation.keep(b"b")
    assert conversation.keep(b"c")
    assert conversation.has_kept()
    assert run.answer(b"a") is DATAGRAM
    assert answer_with_kept(conversation, run) == [DATAGRAM] * 3
    assert server.log == [b"a", b"b", b"c"]
    assert not conversation.has_kept()
    assert conversation.take() is None


def timeout_of(required: Any) -> float | None:
    """Return the timeout of a wait for a datagram."""
    if required is DATAGRAM:
        return None
    assert isinstance(required, Wait)
    assert required.ancillary is None
    return required.timeout


def test_the_wait_has_the_timeout_of_the_yield() -> None:
    _, run = Server(3, None, RecvParams(timeout=4)).converse()
    assert [timeout_of(run.answer(b"a")) for _ in range(4)] == [None, 4, 3, None]


def test_the_same_object_is_yielded_for_the_same_wait() -> None:
    _, run = Server(3).converse()
    assert run.answer(b"a") is run.answer(b"b")


def test_no_timeout_is_left_when_a_generator_has_ended() -> None:
    async def handle(client: Client) -> HandlerGenerator[Any]:
        if (yield None) == b"wait":
            yield 3
        else:
            yield None

    _, run = Server(handle=handle).converse()
    assert timeout_of(run.answer(b"wait")) == 3
    assert run.answer(b"") is IDLE
    assert run.answer(b"a") is DATAGRAM


def test_a_wait_that_is_over_raises_at_the_yield() -> None:
    server = Server(3)
    _, run = server.converse()
    run.answer(b"a")
    assert timeout_of(run.answer(None)) == 3
    assert timeout_of(run.answer(b"b")) == 3
    assert server.log == [b"a", TimeoutError, b"b"]


@pytest.mark.parametrize("error", [TimeoutError(), Cancelled(), GeneratorExit("of user code")], ids=repr)
def test_what_the_driver_throws_raises_at_the_yield(error: BaseException) -> None:
    caught: list[BaseException] = []

    async def handle(client: Client) -> HandlerGenerator[Any]:
        yield None
        try:
            yield None
        except BaseException as exc:
            caught.append(exc)
        yield None

    _, run = Server(handle=handle).converse()
    run.answer(b"a")
    with pytest.raises(type(error)) as raised:
        raise error
    assert run.throw(raised.value) is DATAGRAM
    assert caught == [error]


def test_a_cancellation_loses_no_datagram() -> None:
    server = Server()
    conversation, run = server.converse()
    run.answer(b"a")
    conversation.keep(b"b")
    assert run.throw(Cancelled()) is DATAGRAM
    assert run.answer(conversation.take()) is DATAGRAM
    assert server.log == [b"a", Cancelled, b"b"]


def test_an_awaiting_handler_speaks_with_the_driver() -> None:
    log: list[Any] = []

    async def handle(client: Client) -> HandlerGenerator[Any]:
        log.append(await suspend("before"))
        while True:
            log.append(await suspend((yield None)))

    _, run = Server(handle=handle).converse()
    assert run.answer(b"a") == "before"
    assert run.answer(1) == b"a"
    assert run.answer(2) is DATAGRAM
    assert run.answer(b"b") == b"b"
    assert run.answer(3) is DATAGRAM
    assert log == [1, 2, 3]


def test_a_generator_that_never_yields_has_had_its_datagram() -> None:
    async def handle(client: Client) -> HandlerGenerator[Any]:
        for _ in ():
            yield None

    server = Server(handle=handle)
    _, run = server.converse()
    assert run.answer(b"a") is IDLE
    assert run.answer(b"b") is IDLE
    assert server.errors == []


def test_a_conversation_may_go_on_with_another_sender() -> None:
    addresses: list[Any] = []

    async def handle(client: Client) -> HandlerGenerator[Any]:
        addresses.append(client.address)
        yield None

    conversation, run = Server(handle=handle).converse("first")
    run.answer(b"a")
    conversation.address = "second"
    run.answer(b"b")
    assert addresses == ["first", "second"]


def test_generators_do_not_register_at_the_event_loop() -> None:
    registered: list[Any] = []
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(registered.append, registered.append)
    try:
        _, run = Server(packets=1).converse()
        run.answer(b"a")
    finally:
        sys.set_asyncgen_hooks(*hooks)
    assert registered == []


def test_a_generator_that_waits_is_closed_with_its_conversation_and_not_by_the_event_loop() -> None:
    finalized: list[Any] = []
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(print, finalized.append)
    try:
        server = Server()
        conversation, run = server.converse()
        run.answer(b"a")
        run.close()
        del conversation, run
        gc.collect()
    finally:
        sys.set_asyncgen_hooks(*hooks)
    assert server.log == [b"a", "closed"]
    assert finalized == []


# -------------------------------------------------------------------------------------------------------------- errors


def test_an_invalid_datagram_raises_at_its_own_yield() -> None:
    server = Server()
    _, run = server.converse()
    for datagram in (b"a", b"!", b"b", b"?"):
        assert run.answer(datagram) is DATAGRAM
    assert server.log == [b"a", DatagramProtocolParseError, b"b", RuntimeError]


def test_an_error_of_a_sender_carries_an_origin() -> None:
    async def handle(client: Client) -> HandlerGenerator[Any]:
        yield None
        yield None

    server = Server(handle=handle)
    _, run = server.converse()
    assert run.answer(b"!") is IDLE
    run.answer(b"a")
    assert run.answer(b"!") is IDLE
    origins = {origin for _, _, origin in server.errors}
    assert len(origins) == 1
    for address, error, origin in server.errors:
        assert address == "address"
        assert isinstance(error, DatagramProtocolParseError)
        assert origin is not None
        assert origin.is_of(error)


@pytest.mark.parametrize(
    ("yielded", "error"), [("soon", TypeError), (-1, ValueError), (RecvParams(timeout=-1), ValueError)]
)
def test_nonsense_raises_where_it_is_yielded(yielded: Any, error: type[Exception]) -> None:
    server = Server(yielded, None)
    _, run = server.converse()
    assert run.answer(b"lost") is DATAGRAM
    assert run.answer(b"a") is DATAGRAM
    assert server.log == [error, b"a", error]


def test_the_same_nonsense_is_refused_each_time() -> None:
    server = Server("nonsense", "nonsense", None)
    _, run = server.converse()
    run.answer(b"lost")
    assert server.log == [TypeError, TypeError]


def test_faults_are_reported_and_the_next_datagram_is_handled() -> None:
    async def handle(client: Client) -> HandlerGenerator[Any]:
        if (yield None) == b"fail":
            raise ZeroDivisionError

    server = Server(handle=handle)
    conversation, run = server.converse()
    assert run.answer(b"fail") is IDLE
    [(address, error, origin)] = server.errors
    assert (address, type(error), origin) == ("address", ZeroDivisionError, None)
    conversation.address = "other"
    assert run.answer(b"a") is IDLE
    assert run.answer(b"fail") is IDLE
    assert [report[0] for report in server.errors] == ["address", "other"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), Cancelled()], ids=repr)
def test_what_ends_everything_propagates(error: BaseException) -> None:
    async def handle(client: Client) -> HandlerGenerator[Any]:
        yield None
        raise error

    server = Server(handle=handle)
    _, run = server.converse()
    with pytest.raises(type(error)):
        run.answer(b"a")
    assert server.errors == []


def test_a_group_is_split_into_what_ends_everything_and_faults() -> None:
    group = BaseExceptionGroup("group", [KeyboardInterrupt(), ZeroDivisionError()])
    server = Server()
    with pytest.raises(BaseExceptionGroup) as caught:
        server.dispatcher.settle("address", group)
    assert [type(exc) for exc in caught.value.exceptions] == [KeyboardInterrupt]
    [(_, fault, _)] = server.errors
    assert isinstance(fault, ExceptionGroup)


async def _coroutine(client: Client) -> None:
    raise NotImplementedError


@pytest.mark.parametrize("handle", [lambda client: None, _coroutine])
def test_a_handler_that_makes_no_generator_is_reported(handle: Any) -> None:
    server = Server(handle=handle)
    _, run = server.converse()
    assert run.answer(b"a") is IDLE
    [(_, error, _)] = server.errors
    assert isinstance(error, TypeError)


# ---------------------------------------------------------------------------------------------------------------- ends


def test_a_generator_is_closed_when_no_more_will_come() -> None:
    server = Server()
    _, run = server.converse()
    run.answer(b"a")
    assert run.answer(NO_MORE) is IDLE
    assert server.log == [b"a", "closed"]


def test_a_generator_that_ignores_its_closing_is_reported() -> None:
    async def handle(client: Client) -> HandlerGenerator[Any]:
        try:
            yield None
            yield None
        except GeneratorExit:
            yield None

    server = Server(handle=handle)
    _, run = server.converse()
    run.answer(b"a")
    assert run.answer(NO_MORE) is IDLE
    [(_, error, _)] = server.errors
    assert isinstance(error, RuntimeError)


def test_closing_a_conversation_closes_its_generator() -> None:
    server = Server()
    conversation, run = server.converse()
    run.answer(b"a")
    run.close()
    del conversation, run
    gc.collect()
    assert server.log == [b"a", "closed"]
    assert server.errors == []


def test_closing_a_conversation_closes_a_handler_that_awaits() -> None:
    log: list[Any] = []

    async def handle(client: Client) -> HandlerGenerator[Any]:
        yield None
        try:
            await suspend("marker")
        finally:
            log.append("closed")

    server = Server(handle=handle)
    conversation, run = server.converse()
    assert run.answer(b"a") == "marker"
    run.close()
    del conversation, run
    gc.collect()
    assert log == ["closed"]
    assert server.errors == []


# --------------------------------------------------------------------------------------------------------------- turns


@pytest.mark.parametrize("packets", [None, 1])
def test_everything_else_has_its_turn_after_many_datagrams_that_were_kept(packets: int | None) -> None:
    server = Server(packets=packets)
    conversation, run = server.converse()
    for number in range(3 * STEPS_PER_TURN):
        conversation.keep(b"%d" % number)
    counts = []
    while conversation.has_kept() or run.required is TURN:
        if run.required is TURN:
            counts.append(len(server.log))
            run.answer(None)
        else:
            run.answer(conversation.take())
    assert [later - count for count, later in pairwise(counts)] == [STEPS_PER_TURN, STEPS_PER_TURN]
    assert counts[0] == STEPS_PER_TURN
    assert server.log == [b"%d" % number for number in range(3 * STEPS_PER_TURN)]


def test_a_handler_that_goes_on_with_nonsense_does_not_stop_everything_else() -> None:
    server = Server("nonsense")
    _, run = server.converse()
    run.answer(b"a")
    for turns in (1, 2):
        assert run.required is TURN
        assert len(server.log) == turns * STEPS_PER_TURN
        run.answer(None)


def test_a_datagram_that_somebody_else_brings_begins_a_new_turn() -> None:
    server = Server()
    conversation, run = server.converse()
    run.answer(b"a")
    for _ in range(2 * STEPS_PER_TURN):
        conversation.keep(b"a")
        assert run.answer(conversation.take()) is DATAGRAM


def test_an_error_thrown_in_a_turn_raises_at_the_yield() -> None:
    server = Server()
    conversation, run = server.converse()
    for _ in range(STEPS_PER_TURN):
        conversation.keep(b"b")
    assert run.answer(b"a") is DATAGRAM
    for _ in range(STEPS_PER_TURN):
        run.answer(conversation.take())
    assert run.required is TURN
    assert run.throw(Cancelled()) is DATAGRAM
    assert server.log == [b"a"] + [b"b"] * STEPS_PER_TURN + [Cancelled]


# ------------------------------------------------------------------------------------------------------------- backlog


def test_a_backlog_counts_what_waits() -> None:
    server = Server()
    backlog = server.dispatcher.backlog
    conversation, _ = server.converse()
    conversation.keep(b"abc")
    assert backlog.size == 3 + Backlog.EXTRA
    conversation.keep(b"")
    assert backlog.size == 3 + 2 * Backlog.EXTRA
    conversation.take()
    assert backlog.size == Backlog.EXTRA
    conversation.take()
    assert (backlog.size, backlog.dropped) == (0, 0)


def test_the_backlog_of_one_sender_is_limited() -> None:
    server, unused = claiming_server()
    full, _ = server.converse()
    other, _ = server.converse("other")
    room = Backlog.OF_ONE_SENDER - Backlog.EXTRA
    assert not full.keep((bytes(room + 1), "too large"))
    assert full.keep((bytes(room), "kept"))
    assert not full.keep((b"", "too late"))
    assert unused == [("too large", "address"), ("too late", "address")]
    assert server.dispatcher.backlog.dropped == 2
    assert other.keep((bytes(room), None))
    full.take()
    assert full.keep((bytes(room), None))


def test_the_backlog_of_all_senders_is_limited() -> None:
    server = Server()
    room = Backlog.OF_ONE_SENDER - Backlog.EXTRA
    conversations = [server.converse(number)[0] for number in range(9)]
    assert [conversation.keep(bytes(room)) for conversation in conversations] == [True] * 8 + [False]
    assert not conversations[8].keep(b"")
    assert server.dispatcher.backlog.dropped == 2
    conversations[0].take()
    assert conversations[8].keep(bytes(room))


def test_clearing_a_conversation_drops_what_was_kept() -> None:
    server, unused = claiming_server()
    conversation, _ = server.converse()
    conversation.keep((b"a", "first"))
    conversation.keep((b"b", None))
    conversation.keep((b"c", "last"))
    conversation.clear()
    assert not conversation.has_kept()
    assert [data for data, _ in unused] == ["first", "last"]
    assert (server.dispatcher.backlog.size, server.dispatcher.backlog.dropped) == (0, 3)
    assert conversation.keep((bytes(Backlog.OF_ONE_SENDER - Backlog.EXTRA), None))


# ------------------------------------------------------------------------------------------------------ ancillary data


def claiming(server: Server, timeout: float | None = None) -> RecvParams:
    """Return what to yield so that *server* notes ancillary data."""
    return RecvParams(timeout=timeout, recv_with_ancillary=RecvAncillaryDataParams(server.log.append))


def claiming_server(*others: Any, timeout: float | None = None, **options: Any) -> tuple[Server, list[Any]]:
    """Return a server whose first yield claims ancillary data, and a list of what nobody has claimed."""
    unused: list[Any] = []
    server = Server(ancillary_bufsize=10, on_unused=lambda *args: unused.append(args), **options)
    server._yields = (claiming(server, timeout), *others)
    return server, unused


def test_claimed_ancillary_data_comes_before_the_packet() -> None:
    server, unused = claiming_server()
    conversation, run = server.converse()
    conversation.keep((b"b", "kept"))
    run.answer((b"a", "messages"))
    run.answer(conversation.take())
    run.answer((b"c", None))  # without ancillary data
    assert server.log == ["messages", b"a", "kept", b"b", b"c"]
    assert unused == []


def test_unclaimed_ancillary_data_is_given_away() -> None:
    server, unused = claiming_server(None)
    _, run = server.converse()
    run.answer((b"a", "first"))
    run.answer((b"b", "second"))
    run.answer((b"c", "third"))
    assert server.log == ["first", b"a", b"b", "third", b"c"]
    assert unused == [("second", "address")]


def test_truncated_ancillary_data_raises_where_it_is_claimed_and_costs_no_datagram() -> None:
    server, unused = claiming_server()
    conversation, run = server.converse()
    conversation.keep((b"b", "kept"))
    assert run.answer((b"a", TruncatedMessages(OSError()))) is DATAGRAM
    assert server.log == [OSError, b"a"]
    run.answer(conversation.take())
    assert server.log == [OSError, b"a", "kept", b"b"]
    assert unused == []


def test_truncated_ancillary_data_that_is_not_claimed_is_ignored() -> None:
    server, unused = claiming_server(packets=1)
    server._yields = (None,)
    _, run = server.converse()
    run.answer((b"a", TruncatedMessages(OSError())))
    assert (server.log, unused) == ([b"a"], [])


def test_a_refused_datagram_is_for_no_other_generator() -> None:
    server, _ = claiming_server(packets=1)
    conversation, run = server.converse()
    conversation.keep((b"b", "kept"))
    assert run.answer((b"a", TruncatedMessages(OSError()))) is IDLE
    assert run.answer(conversation.take()) is IDLE
    assert server.log == [OSError, "kept", b"b"]


def test_a_datagram_behind_a_refused_one_is_for_the_next_generator() -> None:
    server, _ = claiming_server(packets=2)
    conversation, run = server.converse()
    conversation.keep((b"b", None))
    assert run.answer((b"a", TruncatedMessages(OSError()))) is IDLE
    assert server.log == [OSError, b"a"]
    assert conversation.has_kept()
    run.answer(conversation.take())
    assert server.log == [OSError, b"a", b"b"]


def test_a_callback_for_ancillary_data_that_fails_raises_at_the_yield() -> None:
    def fail(data: object) -> None:
        raise ZeroDivisionError

    server = Server(RecvParams(recv_with_ancillary=RecvAncillaryDataParams(fail)), None, ancillary_bufsize=10)
    _, run = server.converse()
    assert run.answer((b"a", "messages")) is DATAGRAM
    assert run.answer((b"b", None)) is DATAGRAM
    assert server.log == [RuntimeError, b"b"]


def test_a_callback_for_unused_ancillary_data_that_fails_raises_at_the_yield() -> None:
    def fail(data: object, address: object) -> None:
        raise ZeroDivisionError

    server = Server(ancillary_bufsize=10, on_unused=fail)
    _, run = server.converse()
    run.answer((b"a", "messages"))
    assert server.log == [RuntimeError]
    assert server.errors == []


def test_ancillary_data_needs_room() -> None:
    server = Server()
    server._yields = (claiming(server), None)
    _, run = server.converse()
    run.answer(b"a")
    run.answer(b"b")
    assert server.log == [UnsupportedOperation, b"b"]


def test_a_dispatcher_without_options_has_no_ancillary_data() -> None:
    codec = DatagramCodec(DatagramProtocol(Text()))
    dispatcher = DatagramDispatcher(Server()._handle, codec, Clients(Client), Backlog(), print, _is_cancellation)
    assert dispatcher.ancillary_bufsize is None
    dispatcher.give_unused([], "address")


def test_a_wait_that_is_not_allowed_still_gets_the_ancillary_data_that_is_there() -> None:
    server, unused = claiming_server(None, timeout=-1)
    _, run = server.converse()
    run.answer((b"a", "messages"))
    assert server.log == ["messages", ValueError]
    assert unused == []


def test_a_wait_that_is_not_allowed_does_not_get_truncated_ancillary_data() -> None:
    server, unused = claiming_server(None, timeout=-1)
    _, run = server.converse()
    run.answer((b"a", TruncatedMessages(OSError())))
    assert (server.log, unused) == ([ValueError], [])


@pytest.mark.parametrize("yielded", ["nonsense", -1, RecvParams(timeout=-1)])
def test_a_yield_that_is_not_allowed_gives_away_the_ancillary_data_of_its_datagram(yielded: Any) -> None:
    server, unused = claiming_server()
    server._yields = (yielded, None)
    _, run = server.converse()
    run.answer((b"a", "messages"))
    assert unused == [("messages", "address")]


def test_a_generator_that_ends_before_its_yield_gives_away_the_ancillary_data() -> None:
    async def handle(client: Client) -> HandlerGenerator[Any]:
        for _ in ():
            yield None

    server, unused = claiming_server(handle=handle)
    _, run = server.converse()
    run.answer((b"a", "messages"))
    assert unused == [("messages", "address")]


def test_an_error_where_nobody_can_be_told_is_reported() -> None:
    def fail(data: object, address: object) -> None:
        raise ZeroDivisionError

    server = Server(ancillary_bufsize=10, on_unused=fail)
    conversation, _ = server.converse()
    conversation.keep((b"a", "messages"))
    conversation.clear()
    [(address, error, origin)] = server.errors
    assert (address, type(error), type(error.__cause__), origin) == ("address", RuntimeError, ZeroDivisionError, None)


# ------------------------------------------------------------------------------------------------------------- clients


def test_a_client_that_is_still_in_use_is_the_client_of_the_next_generator() -> None:
    clients: list[Client] = []

    async def handle(client: Client) -> HandlerGenerator[Any]:
        clients.append(client)
        yield None

    server = Server(handle=handle)
    conversation, run = server.converse("address")
    run.answer(b"a")
    run.answer(b"b")
    conversation.address = "other"
    run.answer(b"c")
    first, second, other = clients
    assert first is second
    assert first is not other
    assert server.clients.at("address") is first
    assert server.clients.at("other") is other


def test_a_client_that_nobody_uses_is_forgotten() -> None:
    watches: list[weakref.ref[Client]] = []

    async def handle(client: Client) -> HandlerGenerator[Any]:
        watches.append(weakref.ref(client))
        yield None

    _, run = Server(handle=handle).converse()
    run.answer(b"a")
    assert watches[0]() is None


def test_a_sender_without_an_address_is_another_one_each_time() -> None:
    clients: list[Client] = []

    async def handle(client: Client) -> HandlerGenerator[Any]:
        clients.append(client)
        yield None

    server = Server(handle=handle)
    _, run = server.converse("")
    run.answer(b"a")
    run.answer(b"b")
    first, second = clients
    assert first is not second


# -------------------------------------------------------------------------------------------------------------- memory


@pytest.fixture
def without_gc() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("datagram", [b"ab", b"!b", b"?b"])
@pytest.mark.parametrize("packets", [None, 1])
def test_a_conversation_that_waits_keeps_no_datagram_alive(packets: int | None, datagram: bytes) -> None:
    async def handle(client: Client) -> HandlerGenerator[Any]:
        while True:
            try:
                yield None
            except Exception:
                pass
            if packets == 1:
                return

    _, run = Server(handle=handle).converse()
    datagram = bytes(bytearray(datagram))
    before = sys.getrefcount(datagram)
    run.answer(datagram)
    assert sys.getrefcount(datagram) == before


class Watched(Conversation):
    __slots__ = ("__weakref__",)


def _forget(*report: object) -> None: ...


async def _raising(client: Client) -> HandlerGenerator[Any]:
    yield 3
    yield 3
    raise ZeroDivisionError


async def _catching(client: Client) -> HandlerGenerator[Any]:
    while True:
        try:
            yield 3
        except Exception:
            pass


@pytest.mark.parametrize("handle", [_raising, _catching])
@pytest.mark.parametrize(
    "act",
    [
        lambda run: run.answer(b"!"),
        lambda run: run.answer(b"a"),
        lambda run: run.throw(TimeoutError()),
        lambda run: run.throw(Cancelled()),
        lambda run: run.close(),
    ],
    ids=["invalid", "valid", "time-out", "cancellation", "closed"],
)
def test_an_error_leaves_no_reference_cycle(without_gc: None, handle: Any, act: Callable[[ByHand], object]) -> None:
    def converse() -> weakref.ref[Any]:
        codec = DatagramCodec(DatagramProtocol(Text()))
        dispatcher = DatagramDispatcher(handle, codec, Clients(Client), Backlog(), _forget, _is_cancellation)
        conversation = Watched(dispatcher, "address")
        run = ByHand(conversation.run())
        run.answer(b"a")
        try:
            act(run)
        except BaseException:
            pass
        return weakref.ref(conversation)

    assert converse()() is None


# ------------------------------------------------------------------------------------------------------------ any order


@pytest.mark.parametrize("packets", [None, 1, 2])
@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    events=st.lists(st.sampled_from([b"a", b"b", b"!", b"?", TimeoutError, Cancelled]), max_size=200),
    data=st.data(),
)
def test_a_handler_gets_all_that_happens_in_its_order(
    packets: int | None, events: list[Any], data: st.DataObject
) -> None:
    server = Server(packets=packets)
    conversation, run = server.converse()
    expected: list[Any] = []
    for event in events:
        if run.required is IDLE and not isinstance(event, bytes):
            continue  # there is no wait to end
        if not isinstance(event, bytes):
            run.throw(event())
        elif run.required is not IDLE and data.draw(st.booleans()):
            conversation.keep(event)
            run.answer(conversation.take())
        else:
            run.answer(event)
        while run.required is TURN:
            run.answer(None)
        expected.append({b"!": DatagramProtocolParseError, b"?": RuntimeError}.get(event, event))
        assert server.log == expected
    assert server.errors == []
    assert server.dispatcher.backlog.size == 0
