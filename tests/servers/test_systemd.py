"""Sockets from the environment, and messages to the service manager: what `easynetwork.servers.systemd` does."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.descriptors import open_descriptors
from tests.support.peers import PATIENCE
from tests.support.platforms import needs_abstract_names

from easynetwork.servers import systemd
from easynetwork.servers.systemd import notify, take_sockets

FIRST = 300
"""The tests cannot have descriptor 3: it belongs to pytest."""

VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class Passed:
    """Descriptors from `FIRST` on, as a service manager leaves them to a program."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.numbers: list[int] = []

    def put(self, fd: int) -> int:
        number = FIRST + len(self.numbers)
        assert fcntl.fcntl(fd, fcntl.F_DUPFD, number) == number
        self.numbers.append(number)
        return number

    def put_socket(self) -> tuple[str, int]:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            sock.listen()
            self.put(sock.fileno())
            name: tuple[str, int] = sock.getsockname()
            return name

    def announce(self, pid: object = None, count: object = None, names: str | None = None) -> None:
        self._monkeypatch.setenv("LISTEN_PID", str(os.getpid() if pid is None else pid))
        self._monkeypatch.setenv("LISTEN_FDS", str(len(self.numbers) if count is None else count))
        if names is not None:
            self._monkeypatch.setenv("LISTEN_FDNAMES", names)

    def are_open(self) -> list[bool]:
        return [is_open(number) for number in self.numbers]


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Passed]:
    monkeypatch.setattr(systemd, "_FIRST_DESCRIPTOR", FIRST)
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    before = open_descriptors()
    passed = Passed(monkeypatch)
    yield passed
    for number in passed.numbers:
        if is_open(number):
            os.close(number)
    assert open_descriptors() == before
    assert not any(variable in os.environ for variable in VARIABLES)


def close(taken: dict[str, list[socket.socket]]) -> None:
    for group in taken.values():
        for sock in group:
            sock.close()


# ------------------------------------------------------------------------------------------------------------- sockets


def test_nothing_is_taken_without_the_variables(passed: Passed) -> None:
    assert take_sockets() == {}


def test_sockets_are_taken_by_name_in_their_order(passed: Passed) -> None:
    addresses = [passed.put_socket() for _ in range(3)]
    passed.announce(names="echo.socket:admin:echo.socket")
    taken = take_sockets()
    assert {name: [sock.getsockname() for sock in group] for name, group in taken.items()} == {
        "echo.socket": [addresses[0], addresses[2]],
        "admin": [addresses[1]],
    }
    close(taken)


def test_sockets_without_names_are_unknown(passed: Passed) -> None:
    addresses = [passed.put_socket() for _ in range(2)]
    passed.announce()
    taken = take_sockets()
    assert {name: [sock.getsockname() for sock in group] for name, group in taken.items()} == {"unknown": addresses}
    close(taken)


def test_taken_sockets_are_not_inherited_and_do_not_block(passed: Passed) -> None:
    passed.put_socket()
    os.set_inheritable(passed.numbers[0], True)
    os.set_blocking(passed.numbers[0], True)
    passed.announce()
    [[sock]] = take_sockets().values()
    with sock:
        assert sock.fileno() == FIRST
        assert not sock.get_inheritable()
        assert not sock.getblocking()
        assert not os.get_blocking(FIRST)
        with pytest.raises(BlockingIOError):
            sock.accept()


def test_a_second_call_takes_nothing(passed: Passed) -> None:
    passed.put_socket()
    passed.announce(names="x")
    close(take_sockets())
    assert take_sockets() == {}


@pytest.mark.parametrize("pid", [0, 1, 999_999_999])
def test_sockets_of_another_process_are_left_alone(passed: Passed, pid: int) -> None:
    passed.put_socket()
    passed.announce(pid=pid, names="x")
    assert take_sockets() == {}
    assert passed.are_open() == [True]


def test_no_sockets_is_a_valid_number(passed: Passed) -> None:
    passed.announce(count=0, names="")
    assert take_sockets() == {}


def test_a_missing_number_of_sockets_is_none(passed: Passed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    assert take_sockets() == {}


@pytest.mark.parametrize("text", ["", "x", "-1", "+1", " 1", "1_0", "1.5", "²", "1" * 5000])
@pytest.mark.parametrize("variable", ["LISTEN_PID", "LISTEN_FDS"])
def test_bad_numbers_are_errors(passed: Passed, monkeypatch: pytest.MonkeyPatch, variable: str, text: str) -> None:
    passed.put_socket()
    passed.announce()
    monkeypatch.setenv(variable, text)
    with pytest.raises(ValueError, match=f"{variable} is not a number"):
        take_sockets()
    assert passed.are_open() == [True]


@pytest.mark.parametrize("names", ["a", "a:b:c", "a:b:"])
def test_another_number_of_names_is_an_error(passed: Passed, names: str) -> None:
    passed.put_socket()
    passed.put_socket()
    passed.announce(names=names)
    with pytest.raises(ValueError, match="names for 2 descriptors"):
        take_sockets()


def test_a_fifo_among_the_sockets_is_an_error_that_closes_the_sockets(passed: Passed) -> None:
    passed.put_socket()
    reading, writing = os.pipe()
    passed.put(reading)
    os.close(reading)
    os.close(writing)
    passed.put_socket()
    passed.announce(names="one:pipe:two")
    with pytest.raises(ValueError, match=r"not a socket: descriptor 301, 'pipe': .*socket"):
        take_sockets()
    assert passed.are_open() == [False, True, False]


def test_more_sockets_than_there_are_is_an_error_at_once(passed: Passed) -> None:
    passed.put_socket()
    passed.announce(count=999_999_999)
    with pytest.raises(ValueError, match="descriptor 301, 'unknown': Bad file descriptor"):
        take_sockets()
    assert passed.are_open() == [False]


# ------------------------------------------------------------------------------------------------------------ messages


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        sock.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield sock


def test_a_message_reaches_the_manager(manager: socket.socket) -> None:
    assert notify("STATUS=höre zu\nMAINPID=12")
    assert manager.recv(1000) == "STATUS=höre zu\nMAINPID=12".encode()


@needs_abstract_names
def test_the_manager_may_have_an_abstract_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(PATIENCE)
        manager.bind("")
        name: bytes = manager.getsockname()
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + os.fsdecode(name[1:]))
        assert notify("READY=1")
        assert manager.recv(1000) == b"READY=1"


@pytest.mark.parametrize("path", [None, ""])
def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch, path: str | None) -> None:
    if path is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", path)
    assert not notify("READY=1")


def test_errors_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "vsock:2:1234")
    with pytest.raises(ValueError, match="vsock"):
        notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "missing"))
    with pytest.raises(FileNotFoundError):
        notify("READY=1")


def test_a_manager_that_does_not_read_is_not_awaited_for_long(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "_SEND_TIMEOUT", 0.01)
    with pytest.raises(TimeoutError):
        for _ in range(100_000):
            notify("STATUS=" + "x" * 1000)
