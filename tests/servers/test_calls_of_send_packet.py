"""What a call of `send_packet` returns is used like any coroutine, compiled or not."""

from __future__ import annotations

import inspect
import pydoc
import warnings
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, cast

import pytest
from tests.support import lowlevel_stream_servers as lowlevel
from tests.support.background import spawn

from easynetwork.lowlevel.api_async._packet_streams import PacketSender
from easynetwork.lowlevel.api_async.servers.stream import ConnectedStreamClient
from easynetwork.servers._datagram_server import DatagramSender

SENDERS: list[Any] = [ConnectedStreamClient, DatagramSender]


@pytest.mark.parametrize("sender", SENDERS)
def test_the_method_is_described_like_a_coroutine_function(sender: Any) -> None:
    method = sender.send_packet
    assert inspect.iscoroutinefunction(method)
    assert list(inspect.signature(method).parameters) == ["self", "packet"]
    assert method.__name__ == "send_packet"
    assert method.__module__.startswith("easynetwork.")
    assert "async send_packet(self, packet" in pydoc.plain(pydoc.render_doc(method))
    assert "send_packet" in pydoc.plain(pydoc.render_doc(sender))
    assert inspect.getsource(method).strip().startswith(("async def send_packet", "@with_shortcut"))


async def answered(act: Callable[[Any], Coroutine[Any, Any, object]], answer: bytes = b"answer\n") -> None:
    """Let a handler *act* with its client, and check what the peer gets."""

    async def handler(client: Any) -> AsyncGenerator[None, str]:
        yield
        await act(client)

    async with lowlevel.serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"request\n")
        assert await peer.rest() == answer


async def test_it_can_be_awaited_later() -> None:
    async def act(client: Any) -> None:
        call: Any = client.send_packet("answer")
        assert isinstance(call, Coroutine)
        call = cast(Any, call)
        assert "send_packet" in repr(call)
        assert call.__name__ == "send_packet"
        assert call.__qualname__.endswith(".send_packet")
        assert await call is None

    await answered(act)


async def test_another_task_can_run_it() -> None:
    async def act(client: Any) -> None:
        await spawn(client.send_packet("answer")).wait()

    await answered(act)


async def test_it_cannot_be_awaited_twice() -> None:
    async def act(client: Any) -> None:
        call = client.send_packet("answer")
        await call
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await call

    await answered(act)


async def test_nothing_is_sent_without_an_await_and_python_warns() -> None:
    async def act(client: Any) -> None:
        call = client.send_packet("answer")
        with pytest.warns(RuntimeWarning, match=r"coroutine '.*send_packet' was never awaited"):
            del call

    await answered(act, b"")


async def test_a_closed_call_sends_nothing() -> None:
    async def act(client: Any) -> None:
        call = client.send_packet("answer")
        call.close()
        call.close()
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await call
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del call

    await answered(act, b"")


async def test_what_is_thrown_into_it_before_the_start_goes_out() -> None:
    async def act(client: Any) -> None:
        call = client.send_packet("answer")
        with pytest.raises(KeyError):
            call.throw(KeyError())
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            call.send(None)

    await answered(act, b"")


async def test_it_cannot_start_with_a_value() -> None:
    async def act(client: Any) -> None:
        call = client.send_packet("answer")
        with pytest.raises(TypeError, match="can't send non-None value to a just-started coroutine"):
            call.send("value")
        await call

    await answered(act)


@pytest.mark.parametrize("arguments", [(), ("a", "b")])
async def test_wrong_arguments_are_refused_by_the_call(arguments: tuple[Any, ...]) -> None:
    async def act(client: Any) -> None:
        with pytest.raises(TypeError, match="send_packet"):
            client.send_packet(*arguments)
        with pytest.raises(TypeError, match="send_packet"):
            client.send_packet("a", nonsense=1)
        await client.send_packet(packet="answer")

    await answered(act)


async def test_its_class_makes_no_other_calls() -> None:
    async def act(client: Any) -> None:
        call = client.send_packet("answer")
        try:
            other = type(call)()
        except TypeError:  # as pure Python
            pass
        else:
            with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
                await other
        await call

    await answered(act)


async def test_a_crash_of_the_serializer_is_raised_by_the_await() -> None:
    async def act(client: Any) -> None:
        call = client.send_packet(5)
        with pytest.raises(RuntimeError, match="cannot serialize a packet of type int") as info:
            await call
        assert info.value.__cause__ is not None
        await client.send_packet("answer")

    await answered(act)


async def test_a_replaced_method_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    original: Any = PacketSender.send_packet

    async def send_packet(self: Any, packet: Any) -> None:
        sent.append(packet)
        await original(self, packet)

    monkeypatch.setattr(PacketSender, "send_packet", send_packet)

    async def act(client: Any) -> None:
        await client.send_packet("answer")

    await answered(act)
    assert sent == ["answer"]
