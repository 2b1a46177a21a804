"""Typed JSON and MessagePack: structs, tagged unions and dataclasses. Requires the extra ``msgspec``."""

from __future__ import annotations

__all__ = ["MsgspecJSONSerializer", "MsgspecMessagePackSerializer"]

from collections.abc import Callable
from functools import partial
from types import UnionType
from typing import Any, Final, Generic, final

from typing_extensions import TypeVar

from easynetwork._extras import missing_extra
from easynetwork.exceptions import DeserializeError

from .framing import FramedPacketSerializer, FrameFormat, LengthPrefixedFrames, SeparatedFrames
from .framing._default import framing

_NEWLINE: Final = 0x0A

_ReceivedT_co = TypeVar("_ReceivedT_co", covariant=True)
_SentT_contra = TypeVar("_SentT_contra", contravariant=True, default=_ReceivedT_co)


class _MsgspecSerializer(FramedPacketSerializer[_SentT_contra, _ReceivedT_co], Generic[_ReceivedT_co, _SentT_contra]):
    """What both serializers have in common: an encoder and a decoder of msgspec, and a framing."""

    __slots__ = ("_debug", "_decode", "_encode", "_frames", "_wrap")

    def __init__(self, encoder: Any, decoder: Any, frames: FrameFormat, debug: bool) -> None:
        super().__init__()
        # Stored as bound methods, because all of them are called for each packet.
        self._encode: Callable[[Any], bytes] = encoder.encode
        self._decode: Callable[[bytes], Any] = decoder.decode
        self._wrap: Callable[[bytes], bytes] = frames.wrap
        self._frames: FrameFormat = frames
        self._debug: bool = bool(debug)

    @property
    def debug(self) -> bool:
        """Whether exceptions have an ``error_info``."""
        return self._debug

    @final
    def frame_format(self) -> FrameFormat:
        """Return the framing."""
        return self._frames

    @final
    def serialize(self, packet: _SentT_contra) -> bytes:
        """Return the encoded packet without a frame. Exceptions from msgspec and from *enc_hook* propagate."""
        return self._encode(packet)

    @final
    def deserialize(self, data: bytes) -> _ReceivedT_co:
        """Return the decoded packet.

        Raises:
            DeserializeError: *data* is malformed, or not of the expected type: the message says where, for example
                ``$.items[0].price``. Or a hook, or the ``__post_init__()`` of a struct, raised an exception.
        """
        try:
            packet: _ReceivedT_co = self._decode(data)
        except DeserializeError:  # raised by a hook
            raise
        except Exception as exc:
            raise DeserializeError(_message_of(exc), {"data": data} if self._debug else None) from exc
        return packet

    @property
    def _deserialize_valid(self) -> Callable[[bytes], _ReceivedT_co]:
        return self._decode  # a function in C


class MsgspecJSONSerializer(_MsgspecSerializer[_ReceivedT_co, _SentT_contra]):
    """One JSON document per packet, converted from and to typed objects by ``msgspec``.

    Only received packets are validated. *type* may be a struct, a union of tagged structs, a dataclass, or any other
    type that msgspec decodes. If the packets to send have another type, type checkers need to know both::

        serializer = MsgspecJSONSerializer[Request, Reply](Request)  # receives requests, sends replies
        protocol: StreamProtocol[Reply, Request] = StreamProtocol(MsgspecJSONSerializer(Request))  # the same

    Parameters:
        type: the type of received packets.
        frames: the framing, for example ``LengthPrefixedFrames(4)``. By default, each document ends with a newline.
        enc_hook: converts objects that msgspec cannot encode.
        dec_hook: ``dec_hook(type, obj)`` converts to a type that msgspec does not know.
        strict: if false, msgspec converts some values, such as ``"1"`` to an ``int``.
        limit: maximum size of a line, in bytes; 64 KiB by default. *frames* have a limit of their own.
        debug: add ``error_info`` to exceptions.

    Raises:
        ModuleNotFoundError: the extra ``msgspec`` is not installed.
        TypeError: msgspec does not support *type*, or *frames* is not a framing.
        ValueError: *limit* is not strictly positive, or is given together with *frames*.
    """

    __slots__ = ("_are_lines",)

    def __init__(
        self,
        type: type[_ReceivedT_co] | UnionType,
        *,
        frames: FrameFormat | None = None,
        enc_hook: Callable[[Any], Any] | None = None,
        dec_hook: Callable[[Any, Any], Any] | None = None,
        strict: bool = True,
        limit: int | None = None,
        debug: bool = False,
    ) -> None:
        try:
            import msgspec
        except ModuleNotFoundError as exc:
            raise missing_extra("msgspec", extra="msgspec") from exc
        super().__init__(
            msgspec.json.Encoder(enc_hook=enc_hook),
            msgspec.json.Decoder(type, dec_hook=dec_hook, strict=strict),
            framing(frames, limit, partial(SeparatedFrames, b"\n")),
            debug,
        )
        self._are_lines: bool = frames is None

    @final
    def encode_frame(self, packet: _SentT_contra, /) -> bytes:
        """Return the frame of *packet*.

        Raises:
            ValueError: the framing has no such frame. A line has none if a ``msgspec.Raw`` contains a newline.
            Exception: from msgspec, or from *enc_hook*.
        """
        data = self._encode(packet)
        if self._are_lines and _NEWLINE not in data:  # an int: four times faster than a search for bytes
            return data + b"\n"  # what the framing does, without a call
        return self._wrap(data)


class MsgspecMessagePackSerializer(_MsgspecSerializer[_ReceivedT_co, _SentT_contra]):
    """One MessagePack object per packet, converted from and to typed objects by ``msgspec``.

    For `MessagePackSerializer`, which has no types, objects tell their own size. Here a packet is in a frame, because
    msgspec decodes nothing but complete objects: both sides must use the same framing. See `MsgspecJSONSerializer` for
    the types.

    Parameters:
        type: the type of received packets.
        frames: the framing. By default, the size comes first, in four bytes: ``LengthPrefixedFrames(4)``.
        enc_hook: converts objects that msgspec cannot encode.
        dec_hook: ``dec_hook(type, obj)`` converts to a type that msgspec does not know.
        ext_hook: ``ext_hook(code, data)`` converts extensions.
        strict: if false, msgspec converts some values, such as ``"1"`` to an ``int``.
        limit: maximum size of a packet, in bytes; 64 KiB by default. *frames* have a limit of their own.
        debug: add ``error_info`` to exceptions.

    Raises:
        ModuleNotFoundError: the extra ``msgspec`` is not installed.
        TypeError: msgspec does not support *type*, or *frames* is not a framing.
        ValueError: *limit* is not strictly positive, or is given together with *frames*.
    """

    __slots__ = ()

    def __init__(
        self,
        type: type[_ReceivedT_co] | UnionType,
        *,
        frames: FrameFormat | None = None,
        enc_hook: Callable[[Any], Any] | None = None,
        dec_hook: Callable[[Any, Any], Any] | None = None,
        ext_hook: Callable[[int, memoryview], Any] | None = None,
        strict: bool = True,
        limit: int | None = None,
        debug: bool = False,
    ) -> None:
        try:
            import msgspec
        except ModuleNotFoundError as exc:
            raise missing_extra("msgspec", extra="msgspec") from exc
        super().__init__(
            msgspec.msgpack.Encoder(enc_hook=enc_hook),
            msgspec.msgpack.Decoder(type, dec_hook=dec_hook, ext_hook=ext_hook, strict=strict),
            framing(frames, limit, lambda limit: LengthPrefixedFrames(4, limit=limit)),
            debug,
        )

    @final
    def encode_frame(self, packet: _SentT_contra, /) -> bytes:
        """Return the frame of *packet*.

        Raises:
            ValueError: the framing has no such frame.
            Exception: from msgspec, or from *enc_hook*.
        """
        return self._wrap(self._encode(packet))


def _message_of(exc: Exception) -> str:
    """Return the message of *exc*. That of an exception from a hook may mean nothing without the name of its class."""
    return str(exc) if type(exc).__module__ == "msgspec" else f"{type(exc).__name__}: {exc}"
