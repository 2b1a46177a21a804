"""A queue of received chunks."""

from __future__ import annotations

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from easynetwork.lowlevel._core.bytes_queue import BytesQueue


def test_an_empty_queue_gives_nothing() -> None:
    queue = BytesQueue()
    assert (queue.nbytes, queue.take(10), queue.take_all()) == (0, b"", b"")


@settings(derandomize=True, deadline=None, max_examples=300, database=None)
@given(
    st.lists(
        st.one_of(st.binary(min_size=1, max_size=9), st.integers(1, 12), st.sampled_from(["all", "clear", "back"]))
    )
)
def test_bytes_come_out_in_the_order_in_which_they_went_in(actions: list[bytes | int | str]) -> None:
    queue = BytesQueue()
    model = taken = b""
    for action in actions:
        if isinstance(action, bytes):
            queue.append(action)
            model += action
        elif isinstance(action, int):
            piece = queue.take(action)
            assert len(piece) <= action
            assert bool(piece) == bool(model)
            assert model.startswith(piece)
            model = model[len(piece) :]
            taken += piece
        elif action == "back":
            data = taken[len(taken) // 2 :]
            queue.give_back(data)
            model = data + model
            taken = taken[: len(taken) // 2]
        elif action == "all":
            assert queue.take_all() == model
            model = b""
        else:
            queue.clear()
            model = b""
        assert queue.nbytes == len(model)
    assert queue.take_all() == model


def test_one_chunk_comes_out_as_the_same_object() -> None:
    queue = BytesQueue()
    chunk = b"x" * 100_000
    queue.append(chunk)
    assert queue.take_all() is chunk


def test_bytes_that_were_not_taken_may_be_given_back() -> None:
    queue = BytesQueue()
    queue.append(b"abcdef")
    assert queue.take(4) == b"abcd"
    queue.give_back(b"xd")
    assert queue.nbytes == 4
    assert queue.take(10) == b"xdef"
    queue.give_back(b"")
    assert queue.take(10) == b""


def test_giving_back_what_was_taken_last_copies_nothing() -> None:
    queue = BytesQueue()
    queue.append(b"x" * 1_000_000)
    tracemalloc.start()
    try:
        for _ in range(100):
            queue.give_back(queue.take(200)[100:])
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()
    assert queue.nbytes == 990_000
