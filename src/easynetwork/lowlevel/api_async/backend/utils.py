"""Selection of a backend."""

from __future__ import annotations

__all__ = ["BuiltinAsyncBackendLiteral", "ensure_backend", "new_builtin_backend"]

from typing import Literal, TypeAlias

import sniffio

from easynetwork._extras import missing_extra

from .abc import AsyncBackend

BuiltinAsyncBackendLiteral: TypeAlias = Literal["asyncio", "trio"]
"""The names of the backends. uvloop needs no name of its own: it is an event loop of asyncio."""


def ensure_backend(backend: AsyncBackend | BuiltinAsyncBackendLiteral | None) -> AsyncBackend:
    """Return *backend*, a new backend of that name, or, for None, a new backend for the running library.

    Raises:
        TypeError: *backend* is neither a backend, a string nor None.
        NotImplementedError: no backend has that name.
        sniffio.AsyncLibraryNotFoundError: *backend* is None, and no asynchronous library is running.
        ModuleNotFoundError: the library is not installed.
    """
    match backend:
        case AsyncBackend():
            return backend
        case None:
            return _new_backend(_current_library())
        case str():
            return _new_backend(backend)
        case _:
            raise TypeError(f"Expected an AsyncBackend object or the name of a backend, got {backend!r}")


def _current_library() -> str:
    try:
        return sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        raise sniffio.AsyncLibraryNotFoundError(
            "No asynchronous library is running here. Call this from a coroutine, or say which backend to use: "
            "'asyncio' or 'trio'"
        ) from None


def new_builtin_backend(name: BuiltinAsyncBackendLiteral) -> AsyncBackend:
    """Return a new backend.

    Raises:
        NotImplementedError: no backend has that name.
        ModuleNotFoundError: the library is not installed.
    """
    return _new_backend(name)


def _new_backend(name: str) -> AsyncBackend:
    match name:
        case "asyncio":
            from easynetwork.lowlevel.api_async.backend._asyncio.backend import AsyncIOBackend

            return AsyncIOBackend()
        case "trio":
            try:
                from easynetwork.lowlevel.api_async.backend._trio.backend import TrioBackend
            except ModuleNotFoundError as exc:
                raise missing_extra(exc.name or "trio", extra="trio") from exc
            return TrioBackend()
        case _:
            raise NotImplementedError(f"Unknown backend {name!r}: expected 'asyncio' or 'trio'")
