"""Simulate a device that speaks Modbus/TCP. Its inputs show what is written to its outputs."""

import argparse
import logging
import struct
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Generic, NamedTuple, TypeVar

from easynetwork.exceptions import DeserializeError, StreamProtocolParseError
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers.framing import FramedPacketSerializer, LengthPrefixedFrames
from easynetwork.servers import StandaloneTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

HEADER = struct.Struct(">HHHB")  # transaction, protocol, length of all that follows, unit
MODBUS = 0
LARGEST_FRAME = 260  # bytes

Value = TypeVar("Value")

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3


class Frame(NamedTuple):
    """A request or a response. The data begin with the code of a function."""

    transaction: int
    protocol: int
    unit: int
    data: bytes


class FrameSerializer(FramedPacketSerializer[Frame, Frame]):
    def frame_format(self) -> LengthPrefixedFrames:
        return LengthPrefixedFrames(2, offset=4, keep_header=True, limit=LARGEST_FRAME)

    def serialize(self, packet: Frame, /) -> bytes:
        length = 0  # the library fills it in
        return HEADER.pack(packet.transaction, packet.protocol, length, packet.unit) + packet.data

    def deserialize(self, data: bytes, /) -> Frame:
        if len(data) <= HEADER.size:
            raise DeserializeError("there is no function code")
        transaction, protocol, _length, unit = HEADER.unpack_from(data)
        return Frame(transaction, protocol, unit, data[HEADER.size :])


class RefusedError(Exception):
    """The answer to a request is the code of an exception."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Table(Generic[Value]):
    """Coils or registers, and their addresses: 0, 1, ..."""

    def __init__(self, values: Sequence[Value]) -> None:
        self.values = list(values)

    def read(self, address: int, count: int = 1, *, most: int = 1) -> list[Value]:
        return self.values[self.window(address, count, most)]

    def write(self, address: int, values: Sequence[Value], *, most: int = 1) -> None:
        self.values[self.window(address, len(values), most)] = values

    def window(self, address: int, count: int, most: int) -> slice:
        if not 1 <= count <= most:
            raise RefusedError(ILLEGAL_VALUE)
        if address + count > len(self.values):
            raise RefusedError(ILLEGAL_ADDRESS)
        return slice(address, address + count)


class Device:
    def __init__(self, size: int) -> None:
        self.coils = self.discrete_inputs = Table([False] * size)
        self.holding_registers = self.input_registers = Table([0] * size)

    def answer(self, request: bytes) -> bytes:
        """Return the data of the response to the data of a request."""
        function = request[0]
        try:
            return bytes([function]) + self.call(function, request[1:])
        except RefusedError as error:
            return bytes([function | 0x80, error.code])
        except struct.error:  # the arguments have the wrong size
            return bytes([function | 0x80, ILLEGAL_VALUE])

    def call(self, function: int, arguments: bytes) -> bytes:
        match function:
            case 1 | 2:  # read coils or discrete inputs
                bits = self.coils if function == 1 else self.discrete_inputs
                return counted(from_bits(bits.read(*struct.unpack(">HH", arguments), most=2000)))
            case 3 | 4:  # read holding or input registers
                registers = self.holding_registers if function == 3 else self.input_registers
                return counted(from_registers(registers.read(*struct.unpack(">HH", arguments), most=125)))
            case 5:  # write a coil
                address, value = struct.unpack(">HH", arguments)
                if value not in (0, 0xFF00):
                    raise RefusedError(ILLEGAL_VALUE)
                self.coils.write(address, [value > 0])
                return arguments
            case 6:  # write a register
                address, value = struct.unpack(">HH", arguments)
                self.holding_registers.write(address, [value])
                return arguments
            case 15:  # write coils
                (address, count), data = split_counted(">HH", arguments)
                self.coils.write(address, to_bits(data, count), most=1968)
                return arguments[:4]
            case 16:  # write registers
                (address, count), data = split_counted(">HH", arguments)
                self.holding_registers.write(address, to_registers(data, count), most=123)
                return arguments[:4]
            case 22:  # change some bits of a register
                address, unchanged, new = struct.unpack(">HHH", arguments)
                [value] = self.holding_registers.read(address)
                self.holding_registers.write(address, [value & unchanged | new & ~unchanged])
                return arguments
            case 23:  # write registers, then read registers
                (address, count, to_address, to_count), data = split_counted(">HHHH", arguments)
                self.holding_registers.window(address, count, most=125)  # check both ranges before writing
                self.holding_registers.write(to_address, to_registers(data, to_count), most=121)
                return counted(from_registers(self.holding_registers.read(address, count, most=125)))
        raise RefusedError(ILLEGAL_FUNCTION)


def counted(data: bytes) -> bytes:
    return bytes([len(data)]) + data


def split_counted(format: str, arguments: bytes) -> tuple[tuple[int, ...], bytes]:
    """Return the numbers of a fixed size and the data after them, which have their size in front."""
    numbers = struct.Struct(format)
    if len(arguments) <= numbers.size or arguments[numbers.size] != len(arguments) - numbers.size - 1:
        raise RefusedError(ILLEGAL_VALUE)
    return numbers.unpack_from(arguments), arguments[numbers.size + 1 :]


def to_bits(data: bytes, count: int) -> list[bool]:
    if len(data) != (count + 7) // 8:
        raise RefusedError(ILLEGAL_VALUE)
    return [bool(data[index // 8] >> index % 8 & 1) for index in range(count)]


def from_bits(bits: Sequence[bool]) -> bytes:
    number = sum(bit << index for index, bit in enumerate(bits))
    return number.to_bytes((len(bits) + 7) // 8, "little")


def to_registers(data: bytes, count: int) -> Sequence[int]:
    return struct.unpack(f">{count}H", data)


def from_registers(registers: Sequence[int]) -> bytes:
    return struct.pack(f">{len(registers)}H", *registers)


class DeviceService(AsyncStreamRequestHandler[Frame, Frame]):
    def __init__(self, device: Device) -> None:
        self.device = device

    async def handle(self, client: AsyncStreamClient[Frame]) -> AsyncGenerator[None, Frame]:
        try:
            while True:
                request = yield
                if request.protocol == MODBUS:  # the specification says to drop others silently
                    await client.send_packet(request._replace(data=self.device.answer(request.data)))
        except StreamProtocolParseError:  # a wrong length: the start of the next frame is unknown
            await client.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5020)
    parser.add_argument("--size", type=int, default=1000, help="number of coils and of registers")
    options = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    service = DeviceService(Device(options.size))
    with StandaloneTCPNetworkServer(options.host, options.port, StreamProtocol(FrameSerializer()), service) as server:
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
