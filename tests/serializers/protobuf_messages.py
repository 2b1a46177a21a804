"""Classes of messages, as ``protoc`` generates them."""

from __future__ import annotations

__all__ = ["Note", "Order", "Reply"]

from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

_INTEGER = FieldDescriptorProto.TYPE_INT32
_TEXT = FieldDescriptorProto.TYPE_STRING
_MESSAGE = FieldDescriptorProto.TYPE_MESSAGE
_OPTIONAL = FieldDescriptorProto.LABEL_OPTIONAL
_REQUIRED = FieldDescriptorProto.LABEL_REQUIRED
_REPEATED = FieldDescriptorProto.LABEL_REPEATED


def _classes(syntax: str, messages: dict[str, list[tuple[Any, ...]]]) -> dict[str, Any]:
    """Return the classes of the messages in a file. A field is a label, a type, a name, and the name of its message."""
    package = f"easynetwork.tests.{syntax}"
    file = FileDescriptorProto(name=f"{package}.proto", package=package, syntax=syntax)
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for number, (label, type, field, *inner) in enumerate(fields, 1):
            type_name = f".{package}.{inner[0]}" if inner else None
            message.field.add(name=field, number=number, label=label, type=type, type_name=type_name)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}


_NEW = _classes(
    "proto3",
    {
        "Reply": [(_OPTIONAL, _TEXT, "text"), (_OPTIONAL, _INTEGER, "number"), (_OPTIONAL, _MESSAGE, "inner", "Reply")],
    },
)
_OLD = _classes(
    "proto2",
    {
        "Note": [(_REQUIRED, _TEXT, "text"), (_OPTIONAL, _INTEGER, "number")],
        "Order": [(_REQUIRED, _INTEGER, "number"), (_REPEATED, _MESSAGE, "notes", "Note")],
    },
)

Reply = _NEW["Reply"]
"""No field is required."""

Note, Order = _OLD["Note"], _OLD["Order"]
"""Some fields are required."""
