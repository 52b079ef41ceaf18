"""Servers, and who visits them while their sockets fail."""

from __future__ import annotations

import os
import socket
import socketserver
import stat
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import attrs
import trio
import trio.testing

from kit.datagrams import UpperDatagramHandler
from kit.serving import LOOPBACK, UpperHandler, connect, receive_line
from trioserver import (
    DatagramSessionHandler,
    StreamRequestHandler,
    TCPServer,
    ThreadingTCPServer,
    UDPServer,
    UDPSessionServer,
    UnixDatagramServer,
    UnixStreamServer,
)
from trioserver._servers.base import HandlerFactory
from trioserver._testing.one_run import Scenario
from trioserver._testing.trial import Trial

# Seconds after which a client gives up. Capacity errors make them wait for 0.1 s.
PATIENCE = 2.0

# Seconds after which a datagram, or its reply, is lost.
LOST = 0.15

# More than the buffers of both kernels take.
LONG_REPLY = b"x" * 400_000


# Lines whose replies are kept for a moment, and then find no room.
MUCH = (b"x" * 99 + b"\n") * 2000


class SmallBufferServer(TCPServer):
    """Has room for little that clients do not read."""

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
        super().server_bind()


class LongReplyHandler(StreamRequestHandler):
    """Answers each line with more than a slow client has room for."""

    async def handle(self) -> None:
        async for _ in self.rfile:
            await self.wfile.write(LONG_REPLY)


class LateHandler(StreamRequestHandler):
    """Reads a line, waits until the server stops, and answers."""

    server: LateServer

    async def handle(self) -> None:
        line = await self.rfile.readline()
        self.server.inside += 1
        await self.server.gate.wait()
        await self.wfile.write(line.upper())


class LateServer(TCPServer):
    """Is stopped while requests are in flight."""

    def __init__(self, *args: object) -> None:
        self.gate = trio.Event()
        self.inside = 0
        super().__init__(LOOPBACK, LateHandler)


class UpperThreadHandler(socketserver.StreamRequestHandler):
    """Answers each line in upper case, in a thread."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line.upper())


class UpperSessionHandler(DatagramSessionHandler):
    """Answers each datagram of a peer in upper case."""

    async def handle(self) -> None:
        async for data in self.session:
            await self.session.send(data.upper())


async def ask(client: trio.abc.Stream, line: bytes) -> None:
    """Insist on the reply to a line."""
    await client.send_all(line)
    await expect(client, line.upper())


async def expect(client: trio.abc.ReceiveStream, wanted: bytes) -> None:
    """Insist on these bytes."""
    received = b""
    while len(received) < len(wanted):
        data = await client.receive_some()
        assert data, received
        received += data
    assert received == wanted


async def keep_alive(server: TCPServer) -> None:
    """Ask twice, half-close, and insist on the server's end-of-file."""
    with trio.fail_after(PATIENCE):
        async with await connect(server) as client:
            await ask(client, b"hello\n")
            await ask(client, b"again\n")
            await client.send_eof()
            assert await client.receive_some() == b""


async def pipeline(server: TCPServer) -> None:
    """Ask for several things at once, twice."""
    with trio.fail_after(PATIENCE):
        async with await connect(server) as client:
            for _ in range(2):
                await ask(client, b"a\nb\nc\n")


async def read_slowly(server: TCPServer) -> None:
    """Ask for something long, and give the server time to fill all buffers."""
    with trio.fail_after(PATIENCE):
        async with await connect(server) as client:
            await client.send_all(b"go\n")
            await trio.testing.wait_all_tasks_blocked()
            await expect(client, LONG_REPLY)


async def pipeline_slowly(server: TCPServer) -> None:
    """Ask for much at once, and read it when there is no room for more."""
    with trio.fail_after(PATIENCE):
        async with await connect(server) as client:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.send_all, MUCH)
                await trio.testing.wait_all_tasks_blocked()
                await expect(client, MUCH.upper())


async def ask_once(server: TCPServer) -> None:
    """Ask, and read up to the end."""
    with trio.fail_after(PATIENCE):
        async with await connect(server) as client:
            await client.send_all(b"late\n")
            assert await receive_line(client) == b"LATE\n"


async def ask_by_datagram(server: TCPServer) -> None:
    """Ask until there is a reply, as clients of UDP do."""
    with socket.socket(server.address_family, socket.SOCK_DGRAM) as sock:
        if server.address_family == socket.AF_UNIX:
            sock.bind(f"\0client-{id(sock)}")
        sock.connect(server.server_address)
        with trio.fail_after(PATIENCE), trio.socket.from_stdlib_socket(sock) as client:
            await _ask_until_answered(client)


async def ask_twice_by_datagram(server: TCPServer) -> None:
    """Ask again in the same session."""
    with socket.socket(server.address_family, socket.SOCK_DGRAM) as sock:
        sock.connect(server.server_address)
        with trio.fail_after(PATIENCE), trio.socket.from_stdlib_socket(sock) as client:
            for _ in range(2):
                await _ask_until_answered(client)


async def _ask_until_answered(client: trio.socket.SocketType) -> None:
    received = b""
    while not received:
        with trio.move_on_after(LOST):
            await client.send(b"hello")
            received = await client.recv(1000)
    assert received == b"HELLO"


Client = Callable[[TCPServer], Awaitable[None]]


@attrs.frozen
class Case:
    """A server, and its visitors."""

    server: type[TCPServer] = TCPServer
    handler: HandlerFactory = UpperHandler
    address: object = LOOPBACK
    clients: tuple[Client, ...] = (keep_alive, keep_alive)
    edge_triggered: bool = True
    limit: float = 100

    def make_server(self) -> TCPServer:
        server = self.server(self.address, self.handler)
        server.edge_triggered = self.edge_triggered
        server.linger_timeout = 0.05
        server.cleanup_timeout = 0.1
        if not isinstance(server, UDPSessionServer):
            server.max_concurrent_requests = self.limit
        return server

    async def play(self, trial: Trial) -> None:
        """Serve, be visited, shut down."""
        async with trial.serving(self.make_server()) as server:
            async with trio.open_nursery() as nursery:
                for client in self.clients:
                    nursery.start_soon(trial.visit, client, server)

    async def probe(self, server: object) -> None:
        """Be served as the visitors were."""
        assert isinstance(server, TCPServer)
        await self.clients[0](server)


@attrs.frozen
class StoppingCase(Case):
    """Stops with requests in flight, and more in the queue."""

    async def play(self, trial: Trial) -> None:
        """Shut down while every client waits for its reply."""
        server = LateServer()
        server.edge_triggered = self.edge_triggered
        server.max_concurrent_requests = self.limit
        async with trio.open_nursery() as nursery:
            async with trial.serving(server):
                for client in self.clients:
                    nursery.start_soon(trial.visit, client, server)
                await trio.testing.wait_all_tasks_blocked(0.005)
                nursery.start_soon(self._open, server)

    async def probe(self, server: object) -> None:
        """Do nothing: nobody is served until the server stops."""

    async def _open(self, server: LateServer) -> None:
        await server.shutdown()
        server.gate.set()


@attrs.frozen
class SingleCase(Case):
    """Handles one request after the other."""

    clients: tuple[Client, ...] = (keep_alive,)

    async def play(self, trial: Trial) -> None:
        """Be visited by one client, while `handle_request` is called over and over."""
        server = self.make_server()
        server.timeout = 0.01
        if isinstance(server, UDPSessionServer):
            server.session_timeout = 0.02

        async def serve(*, task_status: trio.TaskStatus[object]) -> None:
            with server:
                task_status.started(server)
                while not trial.harm.is_stopping:
                    await server.handle_request()

        async with trial.serving(server, serve=serve):
            await trial.visit(self.clients[0], server)


_DATAGRAMS: tuple[Client, ...] = (ask_by_datagram, ask_by_datagram)

CASES = {
    "keep alive": Case(),
    "keep alive, without edges": Case(edge_triggered=False),
    "requests ahead": Case(clients=(pipeline, keep_alive)),
    "requests ahead, without edges": Case(
        clients=(pipeline, keep_alive), edge_triggered=False
    ),
    "slow clients": Case(
        SmallBufferServer, handler=LongReplyHandler, clients=(read_slowly, read_slowly)
    ),
    "slow clients, without edges": Case(
        SmallBufferServer,
        handler=LongReplyHandler,
        clients=(read_slowly, read_slowly),
        edge_triggered=False,
    ),
    "a full server": Case(limit=1),
    "stopping": StoppingCase(clients=(ask_once,) * 2),
    "stopping, without edges": StoppingCase(
        clients=(ask_once,) * 2, edge_triggered=False
    ),
    "stopping with a queue": StoppingCase(clients=(ask_once,) * 3, limit=1),
    "threads": Case(ThreadingTCPServer, UpperThreadHandler),
    "a Unix socket": Case(UnixStreamServer, address="x.sock"),
    "UDP": Case(UDPServer, UpperDatagramHandler, clients=_DATAGRAMS),
    "UDP on all addresses": Case(
        UDPServer,
        UpperDatagramHandler,
        ("0.0.0.0", 0),  # noqa: S104  # to be on all of them is what is tested
        _DATAGRAMS,
    ),
    "UDP sessions": Case(UDPSessionServer, UpperSessionHandler, clients=_DATAGRAMS),
    "handle_request": SingleCase(),
    "handle_request, UDP": SingleCase(
        UDPServer, UpperDatagramHandler, clients=_DATAGRAMS
    ),
    "handle_request, UDP sessions": SingleCase(
        UDPSessionServer, UpperSessionHandler, clients=(ask_twice_by_datagram,)
    ),
    "Unix datagrams": Case(
        UnixDatagramServer, UpperDatagramHandler, "x.sock", _DATAGRAMS
    ),
}


# More than a sample of all would try.
LATER = {
    "requests ahead of a slow client": Case(
        SmallBufferServer, clients=(pipeline_slowly,)
    ),
}


async def start_up(case: Case, _trial: Trial) -> None:
    """Make a server, and close it; all of it is watched."""
    with case.make_server():
        pass


@contextmanager
def left_behind(path: Path) -> Iterator[None]:
    """Let the file of a socket be there that nobody uses; clean up afterwards."""
    os.mknod(path, stat.S_IFSOCK)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


async def start_up_again(case: Case, _trial: Trial) -> None:
    """Make a server where one that has died has left its socket's file."""
    with left_behind(Path(str(case.address))), case.make_server():
        pass


START_UPS: Mapping[str, Scenario] = {
    name: partial(start_up, CASES[name])
    for name in ("keep alive", "a Unix socket", "UDP", "Unix datagrams")
} | {
    f"{name}, again": partial(start_up_again, CASES[name])
    for name in ("a Unix socket", "Unix datagrams")
}
