"""Whatever happens to a stream, in any order: a handler gets what a model of a few lines predicts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.lowlevel.core.by_hand import ByHand, Looping, OnePerRequest, stream_dispatcher
from tests.support.framing_cases import Block, LengthPrefix, Line

from easynetwork.exceptions import StreamProtocolParseError
from easynetwork.lowlevel._core.requirements import BYTES, MORE, TURN, Wait
from easynetwork.lowlevel._core.stream_dispatch import DISCONNECTED, StreamDispatcher
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.protocol import AnyStreamProtocolType, BufferedStreamProtocol, StreamProtocol

reproducible = settings(derandomize=True, deadline=None, max_examples=60)


class Cancelled(BaseException):
    """What an event loop throws."""


class Framing(NamedTuple):
    make_protocol: Callable[[], AnyStreamProtocolType[Any, Any]]
    encode: Callable[[bytes], bytes]
    survives_bugs: bool
    """Whether the stream goes on after a packet for which the protocol object has a bug."""


FRAMINGS = {
    "separated": Framing(lambda: StreamProtocol(Line(b"\n")), lambda packet: packet + b"\n", True),
    "fixed size": Framing(lambda: StreamProtocol(Block(2)), lambda packet: packet, True),
    "generator": Framing(lambda: StreamProtocol(LengthPrefix()), lambda packet: bytes([len(packet)]) + packet, False),
    "buffered": Framing(
        lambda: BufferedStreamProtocol(LengthPrefix()), lambda packet: bytes([len(packet)]) + packet, False
    ),
}

# What happens: that many bytes arrive, the time is over, an error comes.
EVENTS = st.integers(1, 9) | st.integers(100, 200) | st.sampled_from([TimeoutError, OSError, Cancelled])
PACKETS = st.sampled_from([b"ab", b"cd", b"ef"]) | st.sampled_from([b"gh", b"!i", b"?j"])
LENGTHY = st.builds(lambda packets: packets * 80, st.lists(PACKETS, min_size=1, max_size=2))


def ends(framing: Framing, packets: Iterable[bytes]) -> list[int]:
    """Return the positions in the stream where packets end."""
    return [*accumulate(len(framing.encode(packet)) for packet in packets)]


def predict(framing: Framing, packets: Sequence[bytes], events: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield what the handler is to note after each of the events, until the stream ends by a bug."""
    arrivals = deque(zip(ends(framing, packets), packets, strict=True))
    received = 0
    for event in events:
        if not isinstance(event, int):
            yield [event]
            continue
        received += event
        noted: list[Any] = []
        while arrivals and arrivals[0][0] <= received:
            packet = arrivals.popleft()[1]
            noted.append({b"!": StreamProtocolParseError, b"?": RuntimeError}.get(packet[:1], packet))
            if packet.startswith(b"?") and not framing.survives_bugs:
                yield [*noted, "closed"]
                return
        yield noted


def receive(run: ByHand, dispatcher: StreamDispatcher[Any], chunk: bytes) -> None:
    if dispatcher.buffered is None:
        run.answer(chunk)
        return
    dispatcher.buffered.get_buffer()[: len(chunk)] = chunk
    run.answer(len(chunk))


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
@pytest.mark.parametrize(
    "yields",
    [[None], [RecvParams(), None], [3], [3, 4], [3, 3, 3, 4], [RecvParams(timeout=3), 3.0]],
    ids=["no timeout", "no timeout at all", "timeout", "two timeouts", "many alike", "the same timeout"],
)
@pytest.mark.parametrize("handler_type", [Looping, OnePerRequest])
@reproducible
@given(
    packets=st.lists(PACKETS, max_size=20) | LENGTHY,
    events=st.lists(EVENTS, max_size=40),
    end=st.sampled_from([None, ConnectionResetError]),
)
def test_a_handler_gets_all_that_happens_in_its_order(
    handler_type: type[Looping],
    yields: list[Any],
    framing: Framing,
    packets: list[bytes],
    events: list[Any],
    end: type[Exception] | None,
) -> None:
    has_timeout = yields[-1] is not None
    events = [event for event in events if has_timeout or event is not TimeoutError]
    stream = b"".join(map(framing.encode, packets))
    handler, dispatcher = handler_type(*yields), stream_dispatcher(framing.make_protocol(), by_chunks=False)
    run = ByHand(dispatcher.run(handler))
    position, expected = 0, list[Any]()
    for event, noted in zip(events, [*predict(framing, packets, events)], strict=False):
        if event is TimeoutError:
            run.answer(None)
        elif not isinstance(event, int):
            run.throw(event())
        elif chunk := stream[position : position + event]:
            receive(run, dispatcher, chunk)
            position += event
        else:
            continue  # everything has arrived
        while run.required is TURN:
            run.answer(None)
        expected += noted
        assert handler.log == expected
        assert run.ending is (DISCONNECTED if "closed" in noted else None)
        if run.ending is None:
            # Exactly a wait that goes on has no time of its own.
            assert run.required is MORE if has_timeout and not noted else run.required is not MORE
            assert isinstance(run.required, Wait) or run.required is (MORE if has_timeout else BYTES)
    if run.ending is None:
        assert dispatcher.is_interrupting() == (min(position, len(stream)) not in (0, *ends(framing, packets)))
        run.answer(b"") if end is None else run.throw(end())
        assert handler.log == [*expected, "closed"]
    assert run.ending is DISCONNECTED
    assert dispatcher.has_ended != dispatcher.has_lost_framing
    assert dispatcher.is_interrupting() == dispatcher.has_lost_framing
