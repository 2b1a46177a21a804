"""Pickles, for peers that fully trust each other."""

from __future__ import annotations

__all__ = ["PickleSerializer", "PicklerConfig", "UnpicklerConfig"]

import pickle
import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, final

from easynetwork.exceptions import DeserializeError

from .abc import AbstractPacketSerializer

if TYPE_CHECKING:
    from pickle import Pickler, Unpickler


@dataclass(kw_only=True)
class PicklerConfig:
    """Arguments of `pickle.Pickler`; see its documentation."""

    protocol: int = field(default_factory=lambda: pickle.DEFAULT_PROTOCOL)
    """The version of the format."""

    fix_imports: bool = False
    """Write the names of Python 2 for modules that Python 3 has renamed, if `protocol` is less than 3."""


@dataclass(kw_only=True)
class UnpicklerConfig:
    """Arguments of `pickle.Unpickler`; see its documentation."""

    fix_imports: bool = False
    """Map the names of modules of Python 2 to those of Python 3."""

    encoding: str = "utf-8"
    """How to decode the 8-bit strings of Python 2."""

    errors: str = "strict"
    """Error handler for these, as for ``bytes.decode()``."""


class PickleSerializer(AbstractPacketSerializer[Any, Any]):
    """One pickled object per packet.

    Warning:
        A peer that sends a pickle can run any code in this process. Use this serializer only between processes that
        trust each other, over connections to which no one else can write. To sign packets, wrap it in
        `Base64EncoderSerializer` with a *checksum* key.

    It has no framing. For a stream, wrap it in a serializer of `easynetwork.serializers.wrapper`.

    Parameters:
        pickler_config: pickler options.
        unpickler_config: unpickler options.
        pickler_cls: class to use instead of `pickle.Pickler`.
        unpickler_cls: class to use instead of `pickle.Unpickler`; it may restrict what can be loaded.
        pickler_optimize: shrink pickles with `pickletools.optimize`, which takes time.
        debug: add ``error_info`` to exceptions.

    Raises:
        TypeError: a config is not an instance of its class.
    """

    __slots__ = ("_debug", "_new_pickler", "_new_unpickler", "_optimizes")

    def __init__(
        self,
        pickler_config: PicklerConfig | None = None,
        unpickler_config: UnpicklerConfig | None = None,
        *,
        pickler_cls: type[Pickler] | None = None,
        unpickler_cls: type[Unpickler] | None = None,
        pickler_optimize: bool = False,
        debug: bool = False,
    ) -> None:
        super().__init__()
        if pickler_config is None:
            pickler_config = PicklerConfig()
        elif not isinstance(pickler_config, PicklerConfig):
            raise TypeError(f"pickler_config must be a PicklerConfig, got {pickler_config!r}")
        if unpickler_config is None:
            unpickler_config = UnpicklerConfig()
        elif not isinstance(unpickler_config, UnpicklerConfig):
            raise TypeError(f"unpickler_config must be an UnpicklerConfig, got {unpickler_config!r}")
        self._new_pickler: Callable[[BytesIO], Pickler] = partial(
            pickler_cls or pickle.Pickler, **vars(pickler_config), buffer_callback=None
        )
        self._new_unpickler: Callable[[BytesIO], Unpickler] = partial(
            unpickler_cls or pickle.Unpickler, **vars(unpickler_config), buffers=None
        )
        self._optimizes: bool = bool(pickler_optimize)
        self._debug: bool = bool(debug)

    @property
    def debug(self) -> bool:
        """Whether exceptions have an ``error_info``."""
        return self._debug

    @final
    def serialize(self, packet: Any) -> bytes:
        """Return the pickle of *packet*. Exceptions from the pickler propagate."""
        file = BytesIO()
        self._new_pickler(file).dump(packet)
        data = file.getvalue()
        return pickletools.optimize(data) if self._optimizes else data

    @final
    def deserialize(self, data: bytes) -> Any:
        """Return the object in *data*.

        Raises:
            DeserializeError: the unpickler raised any exception, or left extra bytes.
        """
        file = BytesIO(data)
        try:
            packet = self._new_unpickler(file).load()
        except Exception as exc:
            message = str(exc) or type(exc).__name__
            raise DeserializeError(message, {"data": data} if self._debug else None) from exc
        if extra := file.read():
            info = {"packet": packet, "extra": extra} if self._debug else None
            raise DeserializeError("There are bytes after the pickle", info)
        return packet
