"""Protocol objects, converters, and the exceptions of both."""

from __future__ import annotations

import pickle
from typing import Any

from benchmarks.differential.kit import drive, drive_buffered
from benchmarks.differential.table import program
from benchmarks.differential.transcript import Transcript
from easynetwork import exceptions
from easynetwork.converter import AbstractPacketConverter, AbstractPacketConverterComposite, StapledPacketConverter
from easynetwork.exceptions import DeserializeError, PacketConversionError
from easynetwork.protocol import BufferedStreamProtocol, DatagramProtocol, StreamProtocol
from easynetwork.serializers import JSONSerializer, PickleSerializer, StringLineSerializer
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer


class Numbers(AbstractPacketConverter[int, str]):
    """Refuse packets that are not numbers, and fail on purpose at 13 and 14."""

    def create_from_dto_packet(self, packet: str, /) -> int:
        try:
            number = int(packet)
        except ValueError as error:
            raise PacketConversionError("not a number", error_info={"packet": packet}) from error
        if number == 13:
            raise ArithmeticError(number)
        return number

    def convert_to_dto_packet(self, obj: int, /) -> str:
        if obj == 14:
            raise PacketConversionError("unlucky")
        return str(obj + 0)


@program(explained={"IncompletePacketError bases": "a stream that ends in the middle of a packet"})
def exception_classes(t: Transcript) -> None:
    """Exceptions: base classes, attributes, messages from the caller"""
    for name in sorted(exceptions.__all__):
        cls = getattr(exceptions, name)
        t.say(f"{name} bases", [base.__name__ for base in cls.__mro__[1:-1]])
    t.make("DeserializeError", exceptions.DeserializeError)
    error = exceptions.DeserializeError("text", error_info={"a": 1})
    t.say("DeserializeError text", (str(error), error.error_info, error.args))
    incremental = exceptions.IncrementalDeserializeError("text", b"rest", "info")
    t.say("IncrementalDeserializeError", (str(incremental), incremental.remaining_data, incremental.error_info))
    for buffer, consumed, separator in (
        (b"abcSEPdef", 3, b"SEP"),
        (b"abcxSEdef", 3, b"SEP"),
        (b"abcxS", 3, b"SEP"),
        (b"abcxS", 3, b""),
        (b"abcSE", 3, b"SEP"),
        (memoryview(b"abcSEPd"), 0, b"SEP"),
        (bytearray(b"ab"), 5, b""),
    ):
        limit = exceptions.LimitOverrunError("text", buffer, consumed, separator)
        t.say(
            f"LimitOverrunError {bytes(buffer)!r}", (limit.remaining_data, limit.consumed, limit.error_info, str(limit))
        )
    t.say(
        "PacketConversionError",
        (str(exceptions.PacketConversionError("text")), PacketConversionError("a", 1).error_info),
    )
    parse = exceptions.StreamProtocolParseError(b"rest", incremental)
    t.say("StreamProtocolParseError", (parse.error is incremental, parse.remaining_data, "text" in str(parse)))
    datagram = exceptions.DatagramProtocolParseError(error)
    t.say("DatagramProtocolParseError", (datagram.error is error, "text" in str(datagram)))
    t.say("ClientClosedError", (exceptions.ClientClosedError().errno, exceptions.ClientClosedError("text").args))


@program()
def exceptions_can_be_pickled(t: Transcript) -> None:
    """Exceptions sent to another process"""
    for error in (
        exceptions.DeserializeError("text", error_info=1),
        exceptions.ClientClosedError("text"),
        exceptions.PacketConversionError("text", 2),
        exceptions.IncrementalDeserializeError("text", b"rest", 3),
        exceptions.StreamProtocolParseError(b"rest", exceptions.DeserializeError("text")),
        exceptions.DatagramProtocolParseError(exceptions.DeserializeError("text")),
        exceptions.LimitOverrunError("text", b"abc", 1, b"c"),
    ):
        with t.errors(type(error).__name__):
            t.say(type(error).__name__, pickle.loads(pickle.dumps(error)))


@program()
def protocol_arguments(t: Transcript) -> None:
    """Protocol objects refuse the wrong kinds of serializers and converters"""
    line, pickles = StringLineSerializer(), PickleSerializer()
    for cls in (DatagramProtocol, StreamProtocol, BufferedStreamProtocol):
        for name, serializer in (("line", line), ("pickle", pickles), ("class", StringLineSerializer), ("None", None)):
            t.make(f"{cls.__name__} {name}", cls, serializer)
        for name, converter in (("converter", Numbers()), ("class", Numbers), ("object", object()), ("None", None)):
            t.make(f"{cls.__name__} with {name}", cls, line, converter)
        made: Any = cls(line)
        t.say(f"{cls.__name__} has a dictionary", hasattr(made, "__dict__"))
        t.say(f"{cls.__name__} takes weak references", hasattr(made, "__weakref__"))
    t.say("relation", issubclass(BufferedStreamProtocol, StreamProtocol))


@program(explained={"json*": "`JSONSerializer` with `BufferedStreamProtocol`"})
def json_in_a_buffer(t: Transcript) -> None:
    """BufferedStreamProtocol with JSON"""
    t.make("json", BufferedStreamProtocol, JSONSerializer())


@program()
def datagram_protocol(t: Transcript) -> None:
    """DatagramProtocol: packets, bad packets, converters that refuse or fail"""
    plain = DatagramProtocol(StringLineSerializer())
    t.call("make", plain.make_datagram, "abc")
    t.call("make, bad", plain.make_datagram, 3)
    t.call("build", plain.build_packet_from_datagram, b"abc\n")
    t.call("build, bad", plain.build_packet_from_datagram, b"\xff")
    converted: Any = DatagramProtocol(StringLineSerializer(), Numbers())
    for packet in (7, 14, "x"):
        t.call(f"make {packet}", converted.make_datagram, packet)
    for data in (b"7", b"seven", b"13", b"\xff"):
        t.call(f"build {data!r}", converted.build_packet_from_datagram, data)


@program()
def stream_protocol(t: Transcript) -> None:
    """StreamProtocol: packets, bad packets, converters that refuse or fail"""
    plain: Any = StreamProtocol(StringLineSerializer())
    t.call("chunks", lambda: list(plain.generate_chunks("abc")))
    t.call("chunks, bad", lambda: list(plain.generate_chunks(3)))
    drive(t, "plain", plain.build_packet_from_chunks, b"a\n\xff\nb\n", b"c", b"\n")
    converted: Any = StreamProtocol(StringLineSerializer(limit=20), Numbers())
    for packet in (7, 14, "x"):
        t.call(f"chunks {packet}", lambda p=packet: list(converted.generate_chunks(p)))
    drive(t, "converted", converted.build_packet_from_chunks, b"7\nseven\n8\n\xff\n9\n" + b"1" * 30 + b"\n10\n")
    drive(t, "converter fails", converted.build_packet_from_chunks, b"13\n14\n")


@program()
def buffered_protocol(t: Transcript) -> None:
    """BufferedStreamProtocol: packets, bad packets, converters that refuse or fail"""
    plain: Any = BufferedStreamProtocol(StringLineSerializer())
    t.call("chunks", lambda: list(plain.generate_chunks("abc")))
    t.say("buffer", len(plain.create_buffer(10)))
    drive_buffered(t, "plain", plain, b"a\n\xff\nb\n", b"c", b"\n")
    converted: Any = BufferedStreamProtocol(StringLineSerializer(limit=64), Numbers())
    drive_buffered(t, "converted", converted, b"7\nseven\n8\n\xff\n9\n", b"10\n")
    drive_buffered(t, "converter fails", converted, b"13\n14\n")


class Odd(AbstractIncrementalPacketSerializer[Any, Any]):
    """An incremental serializer with mistakes."""

    def __init__(self, mistake: str) -> None:
        self.mistake = mistake

    def incremental_serialize(self, packet: Any) -> Any:
        yield b"x"

    def incremental_deserialize(self) -> Any:
        if self.mistake == "early":
            return 1, b""
        if self.mistake == "early error":
            raise KeyError
        data = yield
        if self.mistake == "plain":
            raise DeserializeError("plain", error_info=1)
        if self.mistake == "error":
            raise KeyError
        if self.mistake == "not a tuple":
            return data
        return data[:1], data[1:]


@program(explained={"not a tuple": "a generator that does not return a tuple"})
def protocol_mistakes(t: Transcript) -> None:
    """StreamProtocol with serializers that break their contract"""
    for mistake in ("none", "early", "early error", "plain", "error", "not a tuple"):
        protocol: Any = StreamProtocol(Odd(mistake))
        drive(t, mistake, protocol.build_packet_from_chunks, b"ab")


class Doubles(AbstractPacketConverterComposite[int, int, str, str]):
    def create_from_dto_packet(self, packet: str, /) -> int:
        return int(packet) * 2

    def convert_to_dto_packet(self, obj: int, /) -> str:
        return str(obj // 2)


@program()
def converters(t: Transcript) -> None:
    """Converters: abstract, stapled, equality"""
    t.make("abstract", AbstractPacketConverter)
    t.make("abstract composite", AbstractPacketConverterComposite)
    numbers, doubles = Numbers(), Doubles()
    both = StapledPacketConverter(numbers, doubles)
    t.call("sent", both.convert_to_dto_packet, 5)
    t.call("received", both.create_from_dto_packet, "5")
    t.say("equal", both == StapledPacketConverter(numbers, doubles))
    with t.errors("frozen"):
        both.sent_packet_converter = doubles
    t.call(
        "by keywords",
        lambda: StapledPacketConverter(sent_packet_converter=numbers, received_packet_converter=doubles) == both,
    )
    t.make("of nothing", StapledPacketConverter, None, None)
    t.say("hashable", isinstance(hash(both), int))
    protocol: Any = StreamProtocol(StringLineSerializer(), both)
    t.call("through a protocol", lambda: list(protocol.generate_chunks(5)))
    drive(t, "through a protocol", protocol.build_packet_from_chunks, b"5\n")
