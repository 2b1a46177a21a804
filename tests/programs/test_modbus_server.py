from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest
from tests.support.programs import SECONDS_TO_END, Example, example

if TYPE_CHECKING:
    from pymodbus.client import AsyncModbusTcpClient, ModbusTcpClient

SIZE = 2000


@pytest.fixture(scope="module")
def server() -> Iterator[Example]:
    with example("modbus_server.py", "--size", str(SIZE)) as server:
        yield server


# ---------------------------------------------------------------------------------------------- with real clients


@pytest.fixture
def client(server: Example) -> Iterator[ModbusTcpClient]:
    pymodbus = pytest.importorskip("pymodbus.client")
    with pymodbus.ModbusTcpClient(*server.address[:1], port=server.port, timeout=SECONDS_TO_END) as client:
        yield client


@contextlib.asynccontextmanager
async def async_client(server: Example) -> AsyncIterator[AsyncModbusTcpClient]:
    pymodbus = pytest.importorskip("pymodbus.client")
    async with pymodbus.AsyncModbusTcpClient(server.address[0], port=server.port, timeout=SECONDS_TO_END) as client:
        yield client


@pytest.mark.real_client
@pytest.mark.parametrize("count", [1, 7, 8, 9, 1968])
def test_coils_are_written_and_read(client: ModbusTcpClient, count: int) -> None:
    bits = [index % 3 == 0 for index in range(count)]
    assert not client.write_coils(10, bits).isError()
    assert client.read_coils(10, count=count).bits[:count] == bits
    assert client.read_discrete_inputs(10, count=count).bits[:count] == bits
    assert not client.write_coil(10, False).isError()
    assert client.read_coils(10).bits[0] is False
    assert not client.write_coil(10, True).isError()
    assert client.read_coils(10).bits[0] is True


@pytest.mark.real_client
@pytest.mark.parametrize("count", [1, 2, 123])
def test_registers_are_written_and_read(client: ModbusTcpClient, count: int) -> None:
    values = [0xFFFF - index for index in range(count)]
    assert not client.write_registers(20, values).isError()
    assert client.read_holding_registers(20, count=count).registers == values
    assert client.read_input_registers(20, count=count).registers == values
    assert not client.write_register(20, 0x1234).isError()
    assert client.read_holding_registers(20, count=count).registers == [0x1234, *values[1:]]


@pytest.mark.real_client
def test_the_most_that_one_request_may_read(client: ModbusTcpClient) -> None:
    assert len(client.read_coils(0, count=2000).bits) == 2000
    assert len(client.read_input_registers(0, count=125).registers) == 125


@pytest.mark.real_client
def test_some_bits_of_a_register_are_changed(client: ModbusTcpClient) -> None:
    assert not client.write_register(4, 0x12).isError()
    assert not client.mask_write_register(address=4, and_mask=0xF2, or_mask=0x25).isError()
    assert client.read_holding_registers(4).registers == [0x17]  # the example in the specification


@pytest.mark.real_client
def test_registers_are_written_before_others_are_read(client: ModbusTcpClient) -> None:
    written = client.readwrite_registers(read_address=41, read_count=3, write_address=40, values=[1, 2, 3])
    assert written.registers[:2] == [2, 3]


@pytest.mark.real_client
def test_what_is_wrong_is_refused_with_a_code(client: ModbusTcpClient) -> None:
    assert client.read_exception_status().exception_code == 1
    assert client.read_coils(SIZE).exception_code == 2
    assert client.read_holding_registers(SIZE - 1, count=2).exception_code == 2
    assert client.write_register(65535, 1).exception_code == 2
    assert client.read_holding_registers(SIZE - 1).registers == [0]


@pytest.mark.real_client
async def test_many_clients_have_a_request_in_flight(server: Example) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(async_client(server)) for _ in range(10)]
        for _ in range(10):
            await asyncio.gather(*(client.write_register(100 + index, index) for index, client in enumerate(clients)))
            answers = await asyncio.gather(*(client.read_holding_registers(100, count=10) for client in clients))
            assert all(answer.registers == list(range(10)) for answer in answers)


@pytest.mark.real_client
async def test_several_clients_share_the_device(server: Example) -> None:
    async with async_client(server) as first, async_client(server) as second:
        await first.write_registers(200, [1, 2, 3])
        assert (await second.read_holding_registers(200, count=3)).registers == [1, 2, 3]


# ------------------------------------------------------------------------------------------------------- bad input


def frame(data: bytes, *, transaction: int = 1, protocol: int = 0, length: int | None = None, unit: int = 1) -> bytes:
    return struct.pack(">HHHB", transaction, protocol, len(data) + 1 if length is None else length, unit) + data


READ = b"\3\0\0\0\1"  # a holding register


@contextlib.contextmanager
def connected(server: Example) -> Iterator[socket.socket]:
    with socket.create_connection(server.address, SECONDS_TO_END) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sock


def receive_exactly(sock: socket.socket, size: int) -> bytes:
    received = sock.recv(size, socket.MSG_WAITALL)
    assert len(received) == size
    return received


def transaction_and_data(sock: socket.socket) -> tuple[int, bytes]:
    transaction, protocol, length, unit = struct.unpack(">HHHB", receive_exactly(sock, 7))
    assert (protocol, unit) == (0, 1)
    return transaction, receive_exactly(sock, length - 1)


@pytest.mark.parametrize(
    ("request_data", "code"),
    [
        (b"\0", 1),
        (b"\7", 1),
        (b"\x2b\x0e\1\0", 1),
        (b"\x80\0\0\0\1", 1),
        (b"\1\0\0\0\0", 3),
        (b"\1\0\0\x07\xd1", 3),
        (b"\3\0\0\0\0", 3),
        (b"\3\0\0\0\x7e", 3),
        (b"\3\xff\xff\0\1", 2),
        (b"\3\xff\xff\xff\xff", 3),
        (b"\3", 3),
        (b"\3\0\0\0", 3),
        (b"\3\0\0\0\1\0", 3),
        (b"\5\0\0\0\1", 3),
        (b"\5\0\0\xff\xff", 3),
        (b"\5\xff\xff\xff\0", 2),
        (b"\6\xff\xff\0\0", 2),
        (b"\x0f\0\0\0\1", 3),
        (b"\x0f\0\0\0\1\1", 3),
        (b"\x0f\0\0\0\1\2\1", 3),
        (b"\x0f\0\0\0\0\0", 3),
        (b"\x0f\0\0\0\x09\1\1", 3),
        (b"\x0f\xff\xff\0\1\1\1", 2),
        (b"\x0f\0\0\x07\xb1\xf7" + bytes(247), 3),
        (b"\x10\0\0\0\1\2\0", 3),
        (b"\x10\0\0\0\2\2\0\0", 3),
        (b"\x10\0\0\0\0\0", 3),
        (b"\x10\0\0\0\x7c\xf8" + bytes(247), 3),
        (b"\x10\xff\xff\0\1\2\0\0", 2),
        (b"\x16\xff\xff\0\0\0\0", 2),
        (b"\x16\0\0\0\0", 3),
        (b"\x17\0\0\0\0\0\0\0\1\2\0\1", 3),
        (b"\x17\xff\xff\0\1\0\0\0\1\2\0\1", 2),
        (b"\x17\0\0\0\1\xff\xff\0\1\2\0\1", 2),
    ],
)
def test_a_bad_request_gets_the_code_of_an_exception(server: Example, request_data: bytes, code: int) -> None:
    with connected(server) as sock:
        sock.sendall(frame(request_data, transaction=7) + frame(READ, transaction=8))
        assert transaction_and_data(sock) == (7, bytes([request_data[0] | 0x80, code]))
        assert transaction_and_data(sock) == (8, b"\3\2\0\0")


def test_a_refused_request_changes_nothing(server: Example) -> None:
    last = SIZE - 1
    with connected(server) as sock:
        sock.sendall(frame(b"\x10" + struct.pack(">HHB", last, 2, 4) + b"\1\1\1\1"))
        sock.sendall(frame(b"\x17" + struct.pack(">HHHHB", 65535, 1, last, 1, 2) + b"\1\1"))
        sock.sendall(frame(b"\3" + struct.pack(">HH", last, 1)))
        assert transaction_and_data(sock)[1] == b"\x90\2"
        assert transaction_and_data(sock)[1] == b"\x97\2"
        assert transaction_and_data(sock)[1] == b"\3\2\0\0"


def test_a_frame_of_another_protocol_is_dropped(server: Example) -> None:
    with connected(server) as sock:
        sock.sendall(frame(READ, transaction=7, protocol=1) + frame(READ, transaction=8))
        assert transaction_and_data(sock)[0] == 8


@pytest.mark.parametrize("length", [0, 1, 255, 65535])
def test_a_connection_with_a_wrong_length_is_closed(server: Example, length: int) -> None:
    with connected(server) as sock:
        sock.sendall(frame(READ, transaction=7) + frame(READ, length=length) + frame(READ))
        assert transaction_and_data(sock)[0] == 7
        assert sock.recv(1) == b""


def test_requests_in_one_segment_are_answered_in_order(server: Example) -> None:
    with connected(server) as sock:
        sock.sendall(b"".join(frame(READ, transaction=number) for number in range(1000)))
        assert [transaction_and_data(sock)[0] for _ in range(1000)] == list(range(1000))


def test_a_request_may_arrive_byte_by_byte(server: Example) -> None:
    with connected(server) as sock:
        for byte in frame(READ, transaction=7):
            sock.sendall(bytes([byte]))
        assert transaction_and_data(sock)[0] == 7


def test_the_unit_of_the_request_is_the_unit_of_the_response(server: Example) -> None:
    with connected(server) as sock:
        sock.sendall(frame(READ, unit=255))
        assert receive_exactly(sock, 11) == frame(b"\3\2\0\0", unit=255)
