"""The header of the PROXY protocol, versions 1 and 2, without any I/O.

The specification is https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt
"""

from __future__ import annotations

__all__ = ["MAX_LINE_SIZE", "MIN_SIZE_LIMIT", "ProxyHeader", "ProxyHeaderError", "ProxyHeaderReader", "plain_address"]

import ipaddress
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias

MAX_LINE_SIZE: Final = 107
"""Number of bytes of the longest header of version 1, with the end of the line (section 2.1)."""

MIN_SIZE_LIMIT: Final = 52
"""Number of bytes of a header of version 2 with the addresses of TCP over IPv6, and nothing else."""

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"  # of version 2
_FIXED_SIZE: Final = 16  # of version 2: the signature, the command, the family, and the length of the rest
_SHORTEST: Final = b"PROXY UNKNOWN\r\n"

_LINE_STARTS: Final = (b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN ", b"PROXY UNKNOWN\r\n")
_FIELDS: Final = 6  # of a line with addresses, for example "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443"
_SHORTEST_PORT: Final = len("1")
_SHORTEST_HOSTS: Final = {b"4": len("1.1.1.1"), b"6": len("::")}

_LOCAL: Final = 0  # the commands of version 2
_PROXY: Final = 1
_ADDRESS_SIZES: Final = {0: 0, 1: 12, 2: 36, 3: 216}  # by the family: unspecified, IPv4, IPv6, Unix
_NO_FAMILY: Final = 0
_UNIX: Final = 3
_NO_TRANSPORT: Final = 0
_LAST_TRANSPORT: Final = 2  # datagrams
_TYPE_CRC32C: Final = 0x03
_TYPE_NOOP: Final = 0x04

Address: TypeAlias = "tuple[Any, ...] | bytes | None"
"""An address in the form of :mod:`socket`; the path of a Unix socket, without NUL bytes at its end; None if unknown."""


class ProxyHeaderError(ValueError):
    """The bytes do not begin with a valid header."""


class ProxyHeader(NamedTuple):
    """What a proxy tells about a connection."""

    version: int
    """1 or 2."""
    source: Address = None
    """The address of the client. None if the proxy does not tell it, as in a health check."""
    destination: Address = None
    """The address that the client connected to. None if the proxy does not tell it."""
    tlvs: tuple[tuple[int, bytes], ...] = ()
    """The type and the value of each addition (version 2), but not those that only pad the header."""

    @property
    def client(self) -> tuple[Any, ...] | None:
        """The internet address of the client, if the proxy tells one."""
        return self.source if isinstance(self.source, tuple) else None


class ProxyHeaderReader:
    """Takes the bytes of a header, and none that follow it.

    Parameters:
        max_size: maximum number of bytes of a header of version 2.
    """

    __slots__ = ("_data", "_max_size", "header")

    def __init__(self, max_size: int) -> None:
        self._data = bytearray()
        self._max_size = max_size
        self.header: ProxyHeader | None = None
        """The header, once it is complete."""

    @property
    def nbytes(self) -> int:
        """Number of bytes taken."""
        return len(self._data)

    def wanted(self) -> int:
        """Return a number of bytes that certainly belong to the header. 0 if it is complete."""
        if self.header is not None:
            return 0
        size = len(self._data)
        if size < len(_SHORTEST):
            return len(_SHORTEST) - size
        return (_wanted_of_line if self._is_line() else _wanted_of_block)(self._data)

    def feed(self, data: bytes) -> None:
        """Take at most `wanted` bytes.

        Raises:
            ProxyHeaderError: this is not a header.
        """
        self._data += data
        if self._is_line():
            self._check_line()
        else:
            self._check_block()

    def _is_line(self) -> bool:
        return self._data.startswith(b"P")

    # ------------------------------------------------------------------------------------------------------- version 1

    def _check_line(self) -> None:
        data = self._data
        if not any(data.startswith(start[: len(data)]) for start in _LINE_STARTS):
            _refuse("it is missing")
        if data.endswith(b"\r\n"):
            self.header = _parse_line(bytes(data[:-2]))
        elif len(data) >= MAX_LINE_SIZE:
            _refuse(f"its line is longer than {MAX_LINE_SIZE} bytes")

    # ------------------------------------------------------------------------------------------------------- version 2

    def _check_block(self) -> None:
        data = self._data
        if not data.startswith(_SIGNATURE[: len(data)]):
            _refuse("it is missing")
        if len(data) < _FIXED_SIZE:
            return
        version, command = divmod(data[12], 16)
        if version != 2:
            _refuse(f"its version is {version}")
        if command not in (_LOCAL, _PROXY):
            _refuse(f"its command is {command}")
        size = _size_of_block(data)
        if size > self._max_size:
            _refuse(f"it has {size} bytes, more than {self._max_size}")
        if len(data) == size:
            self.header = ProxyHeader(2) if command == _LOCAL else _parse_block(bytes(data))


def _wanted_of_line(data: bytearray) -> int:
    """Return how many bytes the rest of a line has at least, which begins as one of `_LINE_STARTS`."""
    if data.endswith(b"\r"):
        return 1
    wanted = len("\r\n")
    if data.startswith(b"PROXY T"):
        missing = _FIELDS - 1 - data.count(b" ")
        hosts = max(missing - 2, 0)
        ports = max(missing - hosts, 0)
        wanted += hosts * (1 + _SHORTEST_HOSTS[bytes(data[9:10])]) + ports * (1 + _SHORTEST_PORT)
    return min(wanted, MAX_LINE_SIZE - len(data))


def _parse_line(line: bytes) -> ProxyHeader:
    if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
        return ProxyHeader(1)  # whatever follows is ignored
    try:
        _, kind, source, destination, source_port, destination_port = line.decode("ascii").split(" ")
        parse = ipaddress.IPv4Address if kind == "TCP4" else ipaddress.IPv6Address
        return ProxyHeader(
            1,
            plain_address(parse(_without_zone(source)), _parse_port(source_port)),
            plain_address(parse(_without_zone(destination)), _parse_port(destination_port)),
        )
    except ValueError:
        raise ProxyHeaderError(f"its line is invalid: {line!r}") from None


def _without_zone(host: str) -> str:
    if "%" in host:
        raise ValueError(host)
    return host


def _parse_port(text: str) -> int:
    port = int(text)
    if str(port) != text or not 0 <= port <= 0xFFFF:
        raise ValueError(text)
    return port


def plain_address(host: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> tuple[Any, ...]:
    """Return an address in the form of :mod:`socket`. Mapped IPv4 addresses become plain ones."""
    if isinstance(host, ipaddress.IPv6Address):
        if host.ipv4_mapped is None:
            return str(host), port, 0, 0
        host = host.ipv4_mapped
    return str(host), port


def _size_of_block(data: bytes | bytearray) -> int:
    return _FIXED_SIZE + int.from_bytes(data[14:16], "big")


def _wanted_of_block(data: bytearray) -> int:
    size = _FIXED_SIZE if len(data) < _FIXED_SIZE else _size_of_block(data)
    return size - len(data)


def _parse_block(data: bytes) -> ProxyHeader:
    family, transport = divmod(data[13], 16)
    if family not in _ADDRESS_SIZES or transport > _LAST_TRANSPORT:
        _refuse(f"its address family is {data[13]:#04x}")
    if family == _NO_FAMILY or transport == _NO_TRANSPORT:
        try:
            return ProxyHeader(2, tlvs=_parse_tlvs(data, _FIXED_SIZE))
        except ProxyHeaderError:
            return ProxyHeader(2)  # addresses of a kind that has no number, which are to be ignored
    end = _FIXED_SIZE + _ADDRESS_SIZES[family]
    if len(data) < end:
        _refuse("its addresses are incomplete")
    source, destination = _parse_addresses(family, data[_FIXED_SIZE:end])
    return ProxyHeader(2, source, destination, _parse_tlvs(data, end))


def _parse_addresses(family: int, data: bytes) -> tuple[Address, Address]:
    if family == _UNIX:
        middle = len(data) // 2
        return data[:middle].rstrip(b"\0"), data[middle:].rstrip(b"\0")
    size = (len(data) - 4) // 2
    parse = ipaddress.IPv4Address if size == 4 else ipaddress.IPv6Address
    ports = data[2 * size :]
    return (
        plain_address(parse(data[:size]), int.from_bytes(ports[:2], "big")),
        plain_address(parse(data[size : 2 * size]), int.from_bytes(ports[2:], "big")),
    )


def _parse_tlvs(data: bytes, start: int) -> tuple[tuple[int, bytes], ...]:
    tlvs = []
    for kind, begin, end in _split_tlvs(data, start):
        value = data[begin:end]
        if kind == _TYPE_CRC32C and value != _crc32c(data[:begin] + bytes(len(value)) + data[end:]):
            _refuse("its checksum is wrong")
        if kind != _TYPE_NOOP:
            tlvs.append((kind, value))
    return tuple(tlvs)


def _split_tlvs(data: bytes, start: int) -> Iterator[tuple[int, int, int]]:
    """Return the type of each addition, and where its value begins and ends."""
    while start < len(data):
        begin = start + 3
        end = begin + int.from_bytes(data[start + 1 : begin], "big")
        if begin > len(data) or end > len(data):
            _refuse("its additions are incomplete")
        yield data[start], begin, end
        start = end


def _crc32c(data: bytes) -> bytes:
    """Return the checksum of :rfc:`4960`, appendix B. A header is short, so that a loop in Python is good enough."""
    table = _crc32c_table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return (crc ^ 0xFFFFFFFF).to_bytes(4, "big")


@cache
def _crc32c_table() -> tuple[int, ...]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


def _refuse(reason: str) -> NoReturn:
    raise ProxyHeaderError(reason)
