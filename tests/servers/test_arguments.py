"""What every server refuses when it is made. What only one kind refuses is in the file of that kind."""

from __future__ import annotations

from typing import Any

import pytest
from tests.servers.kinds import DatagramService, Kind, StreamService
from tests.support.lines import line_protocol, text_protocol

from easynetwork.serializers.line import StringLineSerializer

EVERY_BACKEND = True


async def test_wrong_protocol_is_refused(kind: Kind) -> None:
    another = text_protocol() if kind.is_stream else line_protocol()
    for wrong in (None, "x", another, StringLineSerializer()):
        with pytest.raises(TypeError):
            kind.server_class(*kind.address, wrong, kind.new_service(), kind.backend)


async def test_wrong_request_handler_is_refused(kind: Kind) -> None:
    another = DatagramService() if kind.is_stream else StreamService()
    wrong: Any
    for wrong in (None, kind.new_service, another):
        with pytest.raises(TypeError):
            kind.server_class(*kind.address, kind.protocol, wrong, kind.backend)


async def test_wrong_backend_is_refused(kind: Kind) -> None:
    for wrong, error in ((12, TypeError), ("curio", NotImplementedError)):
        with pytest.raises(error):
            kind.server_class(*kind.address, kind.protocol, kind.new_service(), wrong)


async def test_backend_is_the_one_given_or_the_one_that_runs(kind: Kind) -> None:
    assert kind.new_server().backend() is kind.backend
    assert type(kind.server_class(*kind.address, kind.protocol, kind.new_service()).backend()) is type(kind.backend)


@pytest.mark.parametrize("kind", ["tcp", "unix-stream"], indirect=True)
@pytest.mark.parametrize("value", [0, -1, 1.5, "1"])
async def test_max_recv_size_must_be_a_strictly_positive_integer(kind: Kind, value: Any) -> None:
    with pytest.raises(ValueError, match="max_recv_size"):
        kind.new_server(max_recv_size=value)
