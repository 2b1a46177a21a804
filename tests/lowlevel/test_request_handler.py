"""What request handlers may yield."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest

from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams


def test_parameters_default_to_waiting_without_limit() -> None:
    assert RecvParams() == RecvParams(timeout=None, recv_with_ancillary=None)
    assert RecvParams().timeout is None
    assert RecvParams().recv_with_ancillary is None


def test_parameters_are_given_by_name_only() -> None:
    params: Any = RecvParams
    with pytest.raises(TypeError):
        params(3)


def test_parameters_are_frozen_equal_by_value_and_hashable() -> None:
    params: Any = RecvParams(timeout=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        params.timeout = 4
    assert params == RecvParams(timeout=3.0)
    assert hash(params) == hash(RecvParams(timeout=3.0))
    assert params != RecvParams(timeout=4)
    assert dataclasses.replace(params, timeout=4) == RecvParams(timeout=4)
    assert pickle.loads(pickle.dumps(params)) == params
    assert not hasattr(params, "__dict__")


@pytest.mark.parametrize("timeout", [-1, float("nan"), "soon"])
def test_a_bad_timeout_is_left_to_the_yield(timeout: Any) -> None:
    assert RecvParams(timeout=timeout).timeout is timeout


def test_ancillary_data_goes_to_a_callable() -> None:
    received: list[object] = []
    params = RecvParams(recv_with_ancillary=RecvAncillaryDataParams(received.append))
    assert params.recv_with_ancillary is not None
    params.recv_with_ancillary.data_received("data")
    assert received == ["data"]
    assert params.recv_with_ancillary == RecvAncillaryDataParams(data_received=received.append)
    assert isinstance(params.recv_with_ancillary, tuple)
