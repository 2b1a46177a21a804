"""The common part of listeners that do something with the connections of another listener."""

from __future__ import annotations

__all__ = ["ListenerWrapper"]

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ._admission import Admission
from .abc import AsyncListener, AsyncStreamTransport

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_Transport_co = TypeVar("_T_Transport_co", bound=AsyncStreamTransport, covariant=True)


class ListenerWrapper(AsyncListener[_T_Transport_co]):
    """Base class of a listener that owns another one."""

    __slots__ = ("_admission", "_listener")

    def __init__(self, listener: AsyncListener[AsyncStreamTransport]) -> None:
        self._listener = listener
        self._admission: Admission | None = None

    def __del__(self) -> None:
        listener: AsyncListener[Any] | None = getattr(self, "_listener", None)
        if listener is not None and not listener.is_closing():
            warnings.warn(f"unclosed listener {self!r}", ResourceWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, '_listener', None)!r}>"

    def is_closing(self) -> bool:
        return self._listener.is_closing()

    async def aclose(self) -> None:
        """Close the underlying listener. Established connections continue."""
        await self._listener.aclose()

    def backend(self) -> AsyncBackend:
        return self._listener.backend()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._listener.extra_attributes
