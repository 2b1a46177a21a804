"""A standalone server that runs in a thread for the length of a test."""

from __future__ import annotations

__all__ = ["serving_in_thread"]

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from tests.support.sockets import PATIENCE

from easynetwork.servers._standalone_server import BaseStandaloneNetworkServer


@contextlib.contextmanager
def serving_in_thread(server: BaseStandaloneNetworkServer[Any], **options: Any) -> Iterator[threading.Thread]:
    """Serve in a thread until the end of the context. Give the thread. *options* are those of `serve_forever`."""
    is_up = threading.Event()
    errors: list[BaseException] = []

    def serve() -> None:
        try:
            server.serve_forever(is_up_event=is_up, **options)
        except BaseException as exc:
            errors.append(exc)
            is_up.set()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert is_up.wait(PATIENCE)
        yield thread
    finally:
        server.shutdown(PATIENCE)
        thread.join(PATIENCE)
    assert not thread.is_alive()
    assert errors == []
