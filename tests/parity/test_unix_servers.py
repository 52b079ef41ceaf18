"""Unix servers of both libraries, as far as they agree, and where they do not."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing as closing_file
from pathlib import Path

import pytest
import trio

from parity.libraries import Either, Library, both_libraries, differs
from parity.scenario import closing, upper_line

SERVERS = {
    "UnixStreamServer": (socket.SOCK_STREAM, "StreamRequestHandler"),
    "UnixDatagramServer": (socket.SOCK_DGRAM, "DatagramRequestHandler"),
}

each_server = pytest.mark.parametrize("name", SERVERS)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "x.sock")


@pytest.fixture
def abstract() -> Iterator[str]:
    """Return an abstract name that no other test has."""
    with socket.socket(socket.AF_UNIX) as sock:
        # The kernel chooses one.
        sock.bind("")
        yield sock.getsockname().decode() + "-"


def upper_datagram(handler: Either) -> Either:
    """Answer a datagram in upper case."""
    handler.wfile.write(handler.rfile.read().upper())
    yield None


def make_server(library: Library, name: str, address: object) -> Either:
    """Return a server of *library* that answers in upper case."""
    kind, handler = SERVERS[name]
    script = upper_line if kind == socket.SOCK_STREAM else upper_datagram
    return library.class_(name)(address, library.handler(script, handler))


def open_client(name: str, address: object, own: str = "") -> socket.socket:
    kind, _ = SERVERS[name]
    client = socket.socket(socket.AF_UNIX, kind)
    if own:
        client.bind(own)
    client.settimeout(10)
    client.connect(address)  # type: ignore[arg-type]  # a Unix address
    return client


@both_libraries
@each_server
async def test_answers_a_client_that_has_a_name(
    library: Library, name: str, path: str
) -> None:
    server = make_server(library, name, path)
    async with closing(library, server):
        with open_client(name, path, path + ".client") as client:
            client.sendall(b"hello\n")
            await library.call(server.handle_request)
            reply = await trio.to_thread.run_sync(client.recv, 100)

    assert reply == b"HELLO\n"


@both_libraries
@each_server
@pytest.mark.parametrize("encode", [str, os.fsencode], ids=["str", "bytes"])
async def test_shows_a_path_as_text(
    library: Library, name: str, path: str, encode: type[str]
) -> None:
    server = make_server(library, name, encode(path))
    async with closing(library, server):
        assert server.server_address == path


@both_libraries
@each_server
async def test_shows_an_abstract_name_as_bytes(
    library: Library, name: str, abstract: str
) -> None:
    server = make_server(library, name, abstract)
    async with closing(library, server):
        assert server.server_address == abstract.encode()
        with open_client(name, abstract):
            pass


@pytest.mark.parametrize(
    ("name", "address"), [("UnixStreamServer", ""), ("UnixDatagramServer", None)]
)
@both_libraries
async def test_says_the_same_of_a_client_without_a_name(
    library: Library, name: str, path: str, address: object
) -> None:
    seen: list[object] = []

    def note(handler: Either) -> Either:
        seen.append(handler.client_address)
        yield None

    handler = library.handler(note, "BaseRequestHandler")
    server = library.class_(name)(path, handler)
    async with closing(library, server):
        with open_client(name, path) as client:
            client.sendall(b"hello\n")
            await library.call(server.handle_request)

    assert seen == [address]


@both_libraries
@each_server
@pytest.mark.parametrize("address", ["x" * 108, "nowhere/x.sock"])
def test_a_bind_that_fails_is_an_os_error(
    library: Library, name: str, address: str
) -> None:
    with pytest.raises(OSError, match=r"too long|at most|No such file"):
        make_server(library, name, address)


@both_libraries
@each_server
def test_a_file_that_is_no_socket_stays(library: Library, name: str, path: str) -> None:
    Path(path).write_text("precious")

    with pytest.raises(OSError, match=r"in use|there is a file"):
        make_server(library, name, path)

    assert Path(path).read_text() == "precious"


@differs(socketserver=True, trioserver=False)
@each_server
async def test_the_file_of_a_server_that_was_closed(
    library: Library, name: str, path: str, *, expected: bool
) -> None:
    server = make_server(library, name, path)
    async with closing(library, server):
        pass

    assert await trio.Path(path).exists() == expected


@differs(socketserver="Address already in use", trioserver=None)
@each_server
async def test_the_file_of_a_server_that_has_died(
    library: Library, name: str, path: str, expected: str | None
) -> None:
    kind, _ = SERVERS[name]
    with closing_file(socket.socket(socket.AF_UNIX, kind)) as dead:
        dead.bind(path)

    error: OSError | None = None
    try:
        server = make_server(library, name, path)
    except OSError as raised:
        error = raised
    else:
        async with closing(library, server):
            pass

    assert (error and error.strerror) == expected
