"""Protocol Buffers (https://protobuf.dev). Requires the extra ``protobuf``."""

from __future__ import annotations

__all__ = ["ProtobufSerializer"]

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, final

from typing_extensions import TypeVar

from easynetwork._extras import missing_extra
from easynetwork.exceptions import DeserializeError

from .framing import FramedPacketSerializer, FrameFormat, VarintFrames
from .framing._default import framing

if TYPE_CHECKING:
    from google.protobuf.message import Message

_ReceivedT_co = TypeVar("_ReceivedT_co", bound="Message", covariant=True)
_SentT_contra = TypeVar("_SentT_contra", bound="Message", contravariant=True, default=_ReceivedT_co)


class ProtobufSerializer(FramedPacketSerializer[_SentT_contra, _ReceivedT_co], Generic[_ReceivedT_co, _SentT_contra]):
    """One message per packet.

    The bytes of a message do not tell which message they are: each direction has one type. If there are several kinds
    of requests, put them in a ``oneof`` of one message.

    Parameters:
        received_type: the class of received messages, from a generated module.
        sent_type: the class of the messages to send; *received_type* by default.
        frames: the framing. By default, the size comes first as a varint, like ``writeDelimitedTo()`` of Java, and
            ``serialize_length_prefixed()`` of Python, write it: ``VarintFrames()``.
        limit: maximum size of a message, in bytes; 64 KiB by default. *frames* have a limit of their own.
        debug: add ``error_info`` to exceptions.

    Raises:
        ModuleNotFoundError: the extra ``protobuf`` is not installed.
        TypeError: a type is not the class of a message, or *frames* is not a framing.
        ValueError: *limit* is not strictly positive, or is given together with *frames*.
    """

    __slots__ = ("_debug", "_frames", "_parse", "_sent_type", "_wrap")

    def __init__(
        self,
        received_type: type[_ReceivedT_co],
        sent_type: type[_SentT_contra] | None = None,
        *,
        frames: FrameFormat | None = None,
        limit: int | None = None,
        debug: bool = False,
    ) -> None:
        try:
            from google.protobuf.message import Message
        except ModuleNotFoundError as exc:
            raise missing_extra("google.protobuf", extra="protobuf") from exc
        super().__init__()
        types: tuple[Any, Any] = (received_type, received_type if sent_type is None else sent_type)
        for message_type in types:
            if not (isinstance(message_type, type) and issubclass(message_type, Message)):
                raise TypeError(f"Expected the class of a message, got {message_type!r}")
        # A bound method, because it is called for each packet.
        self._parse: Callable[[bytes], Any] = received_type.FromString
        self._sent_type: type[Message] = types[1]
        self._frames: FrameFormat = framing(frames, limit, VarintFrames)
        self._wrap: Callable[[bytes], bytes] = self._frames.wrap
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
        """Return the bytes of *packet* without a frame.

        Raises:
            TypeError: *packet* is not a message of the type to send.
            google.protobuf.message.EncodeError: a required field is missing.
        """
        if type(packet) is not self._sent_type:
            raise TypeError(f"Expected a message of type {_name_of(self._sent_type)}, got {_name_of(type(packet))}")
        return packet.SerializeToString()

    @final
    def encode_frame(self, packet: _SentT_contra, /) -> bytes:
        """Return the frame of *packet*. Raise the same errors as `serialize`."""
        return self._wrap(self.serialize(packet))

    @final
    def deserialize(self, data: bytes) -> _ReceivedT_co:
        """Return the message.

        Raises:
            DeserializeError: *data* is malformed, or a required field is missing.
        """
        try:
            packet = self._parse(data)
        except Exception as exc:  # DecodeError, and from the implementation in Python UnicodeDecodeError too
            raise DeserializeError(str(exc), {"data": data} if self._debug else None) from exc
        if not packet.IsInitialized():
            missing = ", ".join(packet.FindInitializationErrors())
            text = f"A message of type {_name_of(type(packet))} lacks required fields: {missing}"
            raise DeserializeError(text, {"data": data} if self._debug else None)
        message: _ReceivedT_co = packet
        return message


def _name_of(packet_type: type[Any]) -> str:
    """Return the name of a type: that in the ``.proto`` file, if it is a message."""
    descriptor = getattr(packet_type, "DESCRIPTOR", None)
    return packet_type.__qualname__ if descriptor is None else descriptor.full_name
