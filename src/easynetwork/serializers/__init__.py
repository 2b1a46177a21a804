"""Serializers convert packets to bytes and back. They do not use sockets."""

from __future__ import annotations

__all__ = [
    "CBORSerializer",
    "JSONSerializer",
    "MessagePackSerializer",
    "MsgspecJSONSerializer",
    "MsgspecMessagePackSerializer",
    "NamedTupleStructSerializer",
    "PickleSerializer",
    "ProtobufSerializer",
    "RawSerializer",
    "StringLineSerializer",
    "StructSerializer",
]

from .cbor import CBORSerializer
from .json import JSONSerializer
from .line import StringLineSerializer
from .msgpack import MessagePackSerializer
from .msgspec import MsgspecJSONSerializer, MsgspecMessagePackSerializer
from .pickle import PickleSerializer
from .protobuf import ProtobufSerializer
from .raw import RawSerializer
from .struct import NamedTupleStructSerializer, StructSerializer
