"""What the requests of a Unix server can do that others cannot."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from kit.serving import UpperHandler, ask, connect, receive_all, serving
from kit.unix_sockets import OTHER_UID, names_in, run_program
from trioserver import (
    BaseRequestHandler,
    Connection,
    StreamRequestHandler,
    UnixStreamServer,
)

# Connects as another user, and says what it gets.
VISITOR = """
import os, socket, sys
os.setgid(int(sys.argv[1]))
os.setuid(int(sys.argv[1]))
with socket.socket(socket.AF_UNIX) as sock:
    sock.settimeout(60)
    sock.connect("x.sock")
    sock.sendall(b"hello\\n")
    print(sock.recv(100))
"""


class Guard(UnixStreamServer):
    """Lets some users in, and remembers who came."""

    socket_mode = 0o666
    allowed_uids: frozenset[int] = frozenset()

    def __init__(self, path: Path) -> None:
        self.uids: list[int] = []
        super().__init__(path, FirstLineHandler)

    async def verify_request(self, request: Connection, client_address: object) -> bool:
        uid = request.peer_credentials.uid
        self.uids.append(uid)
        return uid in self.allowed_uids


class FirstLineHandler(StreamRequestHandler):
    """Answers one line in upper case."""

    async def handle(self) -> None:
        line = await self.rfile.readline()
        await self.wfile.write(line.upper())


@pytest.fixture
def open_directory(tmp_path: Path) -> Iterator[Path]:
    """Return a directory in which any user may look a name up."""
    directory = tmp_path / "open"
    directory.mkdir(0o755)
    directory.chmod(0o755)
    yield directory
    assert names_in(directory) == []


@pytest.mark.slow
async def test_a_user_that_may_is_served(open_directory: Path) -> None:
    class Server(Guard):
        allowed_uids = frozenset({OTHER_UID})

    async with serving(Server(open_directory / "x.sock")) as server:
        lines = await run_program(VISITOR, OTHER_UID, directory=open_directory)

    assert lines == ["b'HELLO\\n'"]
    assert server.uids == [OTHER_UID]


@pytest.mark.slow
async def test_a_user_that_may_not_is_turned_away(open_directory: Path) -> None:
    class Server(Guard):
        allowed_uids = frozenset({os.geteuid()}) - {OTHER_UID}

    async with serving(Server(open_directory / "x.sock")) as server:
        lines = await run_program(VISITOR, OTHER_UID, directory=open_directory)

    assert lines == ["b''"]
    assert server.uids == [OTHER_UID]


@pytest.mark.slow
async def test_the_mode_keeps_another_user_out(open_directory: Path) -> None:
    """Root, and the user itself, it cannot keep out: then nobody is kept out."""

    class Server(UnixStreamServer):
        socket_mode = 0o600

    async with serving(Server(open_directory / "x.sock", FirstLineHandler)):
        lines = await run_program(VISITOR, OTHER_UID, directory=open_directory)

    is_other = os.geteuid() != OTHER_UID
    assert lines == ([] if is_other else ["b'HELLO\\n'"])


async def test_a_request_knows_the_process_that_has_connected(tmp_path: Path) -> None:
    class Handler(BaseRequestHandler):
        request: Connection

        async def handle(self) -> None:
            pid = self.request.peer_credentials.pid
            await self.request.send_all(b"%d" % pid)

    path = tmp_path / "x.sock"
    async with serving(UnixStreamServer(path, Handler)):
        process = await trio.run_process(
            [sys.executable, "-c", CLIENT, path], capture_stdout=True
        )

    own, told = process.stdout.split()
    assert told == own


CLIENT = """
import os, socket, sys
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect(sys.argv[1])
    print(os.getpid(), sock.recv(100).decode())
"""


async def test_a_client_without_a_name_has_an_empty_address(tmp_path: Path) -> None:
    addresses: list[object] = []

    class Server(UnixStreamServer):
        async def verify_request(
            self, request: Connection, client_address: object
        ) -> bool:
            addresses.append(client_address)
            return True

    async with serving(Server(tmp_path / "x.sock", UpperHandler)) as server:
        async with await connect(server) as client:
            assert await ask(client, b"nameless\n") == b"NAMELESS\n"
        with socket.socket(socket.AF_UNIX) as named:
            named.bind(str(tmp_path / "client"))
            named.setblocking(False)
            named.connect(server.server_address)
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(named))
            assert await ask(stream, b"named\n") == b"NAMED\n"

    assert addresses == ["", str(tmp_path / "client")]


async def test_a_handler_may_ask_for_no_delay_on_any_kind_of_socket(
    tmp_path: Path,
) -> None:
    class Handler(UpperHandler):
        disable_nagle_algorithm = True

    async with serving(UnixStreamServer(tmp_path / "x.sock", Handler)) as server:
        async with await connect(server) as client:
            assert await ask(client, b"hello\n") == b"HELLO\n"


class FileHandler(BaseRequestHandler):
    """Writes what it is sent into the file that comes with it, and sends its own."""

    request: Connection

    async def handle(self) -> None:
        data, descriptors = await self.request.receive_fds(100, 1)
        for descriptor in descriptors:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data.upper())
        ours = os.open(__file__, os.O_RDONLY)
        try:
            await self.request.send_fds(b"mine", [ours])
        finally:
            os.close(ours)


async def test_a_handler_receives_a_file_and_sends_another(tmp_path: Path) -> None:
    async with serving(UnixStreamServer(tmp_path / "x.sock", FileHandler)) as server:
        async with await connect(server) as client:
            with (tmp_path / "file").open("wb") as file:
                socket.send_fds(_plain(client), [b"yours"], [file.fileno()])
            await client.wait_send_all_might_not_block()
            await trio.lowlevel.wait_readable(client.socket)
            data, (descriptor,), *_ = socket.recv_fds(_plain(client), 100, 1)
            rest = await receive_all(client)
    is_same = os.path.samestat(os.fstat(descriptor), os.stat(__file__))  # noqa: PTH116  # as the other
    os.close(descriptor)

    assert (data, rest) == (b"mine", b"")
    assert (tmp_path / "file").read_bytes() == b"YOURS"
    assert is_same


def _plain(client: trio.SocketStream) -> socket.socket:
    sock: socket.socket = client.socket._sock  # type: ignore[attr-defined]  # Trio's wrapper has no descriptors
    return sock


async def test_a_client_that_sends_too_many_files_is_one_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with serving(UnixStreamServer(tmp_path / "x.sock", FileHandler)) as server:
        async with await connect(server) as client:
            socket.send_fds(_plain(client), [b"yours"], [0, 1, 2])
            assert await receive_all(client) == b""

    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert "more descriptors have come than could be received" in record.message
