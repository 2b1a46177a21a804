"""The programs in docs/examples work: they run as processes of their own, on free ports."""

from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.docs.pages import DOCS, HOW_TO, marked_blocks
from tests.support.programs import SECONDS_TO_END, output_of, serving

EXAMPLES = DOCS / "examples"
PAGE = HOW_TO / "examples.md"
SESSIONS = marked_blocks(PAGE, "session")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder where all examples seem to be, and the files that they make really are."""
    for example in EXAMPLES.glob("*.py"):
        (tmp_path / example.name).symlink_to(example)
    return tmp_path


def port_of(address: str) -> list[str]:
    """The option that leads to the server at this *address*, if it has a port."""
    found = re.search(r", (\d+)", address)
    return [] if found is None else ["--port", found[1]]


@pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS)
def test_a_session_goes_as_the_page_shows_it(session: str, folder: Path) -> None:
    port: list[str] = []
    with ExitStack() as servers:
        for step in session.removeprefix("$ ").split("\n$ "):
            line, _, output = step.partition("\n")
            match shlex.split(line):
                case ["python", *command, "&"]:
                    free_port = ["--port", "0"] if "9000" in output else []
                    address = servers.enter_context(serving([*command, *free_port], folder))
                    port = port_of(address)
                    shown = re.sub(r", \d+", ", 9000", address)
                    assert output.strip() == f"Start serving at {shown}"
                case ["python", *command]:
                    assert output_of([*command, *port], folder).strip() == output.strip()
                case _:
                    subprocess.run(line, shell=True, cwd=folder, check=True)
    if "unix" in session:
        assert not (folder / "echo.sock").exists()


class ChatClient:
    """A terminal in which a user chats."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._keyboard = process.stdin
        self._screen = process.stdout

    def type(self, text: str) -> None:
        self._keyboard.write(text)
        self._keyboard.flush()

    def end_of_input(self) -> None:
        self._keyboard.close()

    def read(self) -> str:
        return self._screen.readline()


@contextmanager
def chatting(name: str, address: str, folder: Path) -> Iterator[ChatClient]:
    command = [sys.executable, "chat_client.py", *port_of(address), name]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield ChatClient(process)
        finally:
            process.kill()


def test_what_one_says_in_the_chat_all_others_read(folder: Path) -> None:
    with (
        serving(["chat_server.py", "--port", "0"], folder) as address,
        chatting("Ada", address, folder) as ada,
    ):
        assert ada.read() == "* you see: nobody\n"
        with chatting("Bob", address, folder) as bob:
            assert bob.read() == "* you see: Ada\n"
            assert ada.read() == "* Bob is here\n"
            with chatting("Cleo", address, folder) as cleo:
                assert cleo.read() == "* you see: Ada, Bob\n"
                assert ada.read() == bob.read() == "* Cleo is here\n"
                ada.type("hello, you two\n")
                assert bob.read() == cleo.read() == "Ada: hello, you two\n"
                bob.type("hello\n")
                assert ada.read() == cleo.read() == "Bob: hello\n"
                cleo.end_of_input()
                assert cleo.process.wait(SECONDS_TO_END) == 0
            assert ada.read() == bob.read() == "* Cleo has left\n"
            bob.process.send_signal(signal.SIGINT)
            assert bob.process.wait(SECONDS_TO_END) == 0
        assert ada.read() == "* Bob has left\n"


def test_a_chat_client_ends_when_the_server_does(folder: Path) -> None:
    with ExitStack() as server:
        address = server.enter_context(serving(["chat_server.py", "--port", "0"], folder))
        with chatting("Ada", address, folder) as ada:
            assert ada.read() == "* you see: nobody\n"
            server.close()
            assert ada.read() == "* the server has gone\n"
            assert ada.process.wait(SECONDS_TO_END) == 0


def test_the_chat_throws_out_who_does_not_read(folder: Path) -> None:
    impatient_server = "import chat_server; chat_server.SECONDS_TO_READ = 0.2; chat_server.main()"
    with (
        serving(["-c", impatient_server, "--port", "0"], folder) as address,
        socket.create_connection(("127.0.0.1", int(port_of(address)[1])), SECONDS_TO_END) as mute,
    ):
        mute.sendall(b"Mute\n")
        assert mute.recv(1024) == b"* you see: nobody\n"
        with socket.create_connection(mute.getpeername(), SECONDS_TO_END) as ada:
            ada.sendall(b"Ada\n")
            assert ada.recv(1024) == b"* you see: Mute\n"
            more_than_all_buffers_hold = 32 << 20
            for _ in range(more_than_all_buffers_hold >> 15):
                ada.sendall(b"x" * (1 << 15) + b"\n")
            assert ada.recv(1024) == b"* Mute has left\n"


def refusal(command: list[str], folder: Path) -> str:
    result = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=SECONDS_TO_END, check=False
    )
    assert result.returncode == 1
    assert result.stdout == ""
    return result.stderr


def test_the_file_server_refuses_what_is_wrong(folder: Path) -> None:
    (folder / "files").mkdir()
    (folder / "long.txt").write_text("line\n" * 10_000)
    with serving(["file_server.py", "--password", "right", "--port", "0", "files"], folder) as address:
        client = ["file_client.py", *port_of(address), "--password"]
        assert refusal([*client, "wrong", "--list"], folder) == "refused: no\n"
        assert refusal([*client, "right", "--fetch", "../long.txt"], folder) == "refused: what?\n"
        assert refusal([*client, "right", "--fetch", "notes.txt"], folder) == "refused: No such file or directory\n"
        assert refusal([*client, "right", "--store", "long.txt"], folder) == "refused: what?\n"
        assert output_of([*client, "right", "--list"], folder) == ""
    assert list((folder / "files").iterdir()) == []


def test_the_server_in_the_background_answers_while_the_program_works(folder: Path) -> None:
    command = ["background_server.py", "--port", "0"]
    with serving([*command, "--limit", "1000000000"], folder) as address:
        client = ["background_client.py", *port_of(address)]
        answers = [re.findall(r"\d+", output_of(client, folder)) for _ in range(2)]
    (first_primes, first_tested), (primes, tested) = (map(int, answer) for answer in answers)
    assert 0 < first_primes < primes
    assert first_primes < first_tested < tested


def test_the_server_in_the_background_ends_with_the_work(folder: Path) -> None:
    command = [sys.executable, "background_server.py", "--port", "0", "--limit", "30"]
    output = subprocess.check_output(command, cwd=folder, text=True, stderr=subprocess.DEVNULL, timeout=SECONDS_TO_END)
    assert output == "10 primes among 30 numbers\n"


GENERATED = {path.name for path in EXAMPLES.glob("*_pb2.py")}


@pytest.mark.parametrize("program", sorted({path.name for path in EXAMPLES.glob("*_*.py")} - GENERATED))
def test_a_program_tells_what_it_does_and_is_on_the_page(program: str, folder: Path) -> None:
    assert output_of([program, "--help"], folder).startswith(f"usage: {program}")
    assert f"(../examples/{program})" in PAGE.read_text()
