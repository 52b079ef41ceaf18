"""`http.server`, unchanged, driven from Trio."""

from __future__ import annotations

import http.client
import http.server
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme

from kit.driving import connect_blocking, driving, in_thread
from kit.journal_server import read_all
from kit.serving import LOOPBACK, STUCK
from trioserver import serve_socketserver

FILES = 1000
CLIENTS = 50


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Keeps connections open, and the console clean."""

    protocol_version = "HTTP/1.1"
    # Head and body are two packets: Nagle's algorithm would make it 40 ms for a file.
    disable_nagle_algorithm = True

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for number in range(FILES):
        path = root / str(number % 10) / f"{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"file {number}\n")
    return root


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def get(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    return connection.getresponse().read()


def client_of(server: http.server.HTTPServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=STUCK)


def get_tree(server: http.server.HTTPServer, numbers: range) -> list[bytes]:
    connection = client_of(server)
    try:
        replies = [get(connection, f"/{n % 10}/{n}.txt") for n in numbers]
        assert connection.sock is not None  # it was kept alive
    finally:
        connection.close()
    return replies


def expected(numbers: range) -> list[bytes]:
    return [f"file {n}\n".encode() for n in numbers]


@pytest.mark.slow
@pytest.mark.parametrize(
    "server_class", [http.server.HTTPServer, http.server.ThreadingHTTPServer]
)
async def test_a_directory_tree_is_fetched_over_one_connection(
    server_class: type[http.server.HTTPServer], tree: Path
) -> None:
    handler = partial(QuietHandler, directory=str(tree))

    async with driving(server_class(LOOPBACK, handler)) as server:
        replies = await in_thread(get_tree, server, range(FILES))

    assert replies == expected(range(FILES))


@pytest.mark.slow
async def test_fifty_clients_are_served_at_once(tree: Path) -> None:
    handler = partial(QuietHandler, directory=str(tree))
    connected = [0]
    everybody = trio.Event()
    replies: dict[int, list[bytes]] = {}

    async def fetch(number: int, server: http.server.HTTPServer) -> None:
        connection = client_of(server)
        # A first request: it has a thread now, which it keeps.
        first = await in_thread(get, connection, f"/{number % 10}/{number}.txt")
        connected[0] += 1
        if connected[0] == CLIENTS:
            everybody.set()
        await everybody.wait()
        second = await in_thread(get, connection, f"/{number % 10}/{number}.txt")
        connection.close()
        replies[number] = [first, second]

    async with driving(http.server.ThreadingHTTPServer(LOOPBACK, handler)) as server:
        # Five have room in its queue by default; the others try again after a second.
        server.socket.listen(CLIENTS)
        async with trio.open_nursery() as clients:
            for number in range(CLIENTS):
                clients.start_soon(fetch, number, server)

    assert replies == {n: expected(range(n, n + 1)) * 2 for n in range(CLIENTS)}


@pytest.mark.parametrize(
    "server_class", [http.server.HTTPServer, http.server.ThreadingHTTPServer]
)
async def test_idle_connections_do_not_hold_up_a_cancellation(
    server_class: type[http.server.HTTPServer], tree: Path
) -> None:
    handler = partial(QuietHandler, directory=str(tree))
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                serve_socketserver, server_class(LOOPBACK, handler)
            )
            connection = client_of(server)
            await in_thread(get, connection, "/0/0.txt")
            # Its thread waits for the next request, for ever.
            nursery.cancel_scope.cancel()
        assert await in_thread(connection.sock.recv, 1) == b""
    connection.close()
    assert server.socket.fileno() == -1


# TLS: the way of prometheus_client and of many others, and the way of Python 3.14.


class HTTPSServer(http.server.HTTPServer):
    """Wraps its listening socket where Python 3.14's own does."""

    context: ssl.SSLContext

    def server_activate(self) -> None:
        super().server_activate()
        self.socket = self.context.wrap_socket(self.socket, server_side=True)


class ThreadingHTTPSServer(HTTPSServer, http.server.ThreadingHTTPServer):
    """As 3.14's."""


def wrapped_by_itself(
    server_class: type[HTTPSServer], handler: object, context: ssl.SSLContext
) -> http.server.HTTPServer:
    bound = type("BoundServer", (server_class,), {"context": context})
    server: http.server.HTTPServer = bound(LOOPBACK, handler)
    return server


def wrapped_afterwards(
    server_class: type[http.server.HTTPServer],
    handler: object,
    context: ssl.SSLContext,
) -> http.server.HTTPServer:
    server = server_class(LOOPBACK, handler)  # type: ignore[arg-type]  # a partial
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


SERVERS = {
    "plain, as in 3.14": partial(wrapped_by_itself, HTTPSServer),
    "threading, as in 3.14": partial(wrapped_by_itself, ThreadingHTTPSServer),
    "plain, wrapped": partial(wrapped_afterwards, http.server.HTTPServer),
    "threading, wrapped": partial(wrapped_afterwards, http.server.ThreadingHTTPServer),
}


@pytest.fixture(params=SERVERS)
def tls_server(
    request: pytest.FixtureRequest, tree: Path, authority: trustme.CA
) -> Iterator[http.server.HTTPServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    handler = partial(QuietHandler, directory=str(tree))
    with SERVERS[request.param](handler, context) as server:
        yield server


@pytest.fixture
def tls_client(
    tls_server: http.server.HTTPServer, authority: trustme.CA
) -> http.client.HTTPSConnection:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return http.client.HTTPSConnection(
        "127.0.0.1", tls_server.server_port, timeout=STUCK, context=context
    )


async def test_tls_is_served(
    tls_server: http.server.HTTPServer, tls_client: http.client.HTTPSConnection
) -> None:
    async with driving(tls_server):
        replies = [
            await in_thread(get, tls_client, path) for path in ("/0/0.txt", "/1/1.txt")
        ]
        tls_client.close()

    assert replies == expected(range(2))


async def test_a_client_that_says_nothing_stops_nobody(
    tls_server: http.server.HTTPServer, tls_client: http.client.HTTPSConnection
) -> None:
    async with driving(tls_server):
        with connect_blocking(tls_server), connect_blocking(tls_server):
            reply = await in_thread(get, tls_client, "/0/0.txt")
            tls_client.close()

    assert reply == b"file 0\n"


async def test_a_handshake_does_not_hold_up_a_cancellation(
    tls_server: http.server.HTTPServer,
) -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_socketserver, tls_server)
            with connect_blocking(tls_server) as silent:
                # Half of a record's header: the handshake has begun.
                silent.sendall(b"\x16\x03")
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()


async def test_a_handshake_has_a_time(tls_server: http.server.HTTPServer) -> None:
    async with driving(tls_server, handshake_timeout=0.01):
        with connect_blocking(tls_server) as silent:
            assert await in_thread(silent.recv, 1) == b""


@pytest.mark.parametrize(
    "nonsense", [b"GET / HTTP/1.0\r\n\r\n", b"\0" * 100], ids=["HTTP", "zeros"]
)
async def test_what_is_no_tls_is_refused(
    tls_server: http.server.HTTPServer,
    tls_client: http.client.HTTPSConnection,
    nonsense: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", logger="trioserver")
    async with driving(tls_server):
        with connect_blocking(tls_server) as stranger:
            stranger.sendall(nonsense)
            await in_thread(_read_to_end, stranger)
        assert await in_thread(get, tls_client, "/0/0.txt") == b"file 0\n"
        tls_client.close()

    assert "The TLS handshake with ('127.0.0.1', " in caplog.text


def _read_to_end(sock: socket.socket) -> None:
    with suppress(ConnectionResetError):  # it has not read all of the nonsense
        read_all(sock)
