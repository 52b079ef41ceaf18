"""The public API as users write it: type-checked strictly, never run."""

from __future__ import annotations

import http.server
import socket
import socketserver
from functools import partial
from pathlib import Path

import trio
import trio.testing

import trioserver
import trioserver.testing


class Store(trioserver.TCPServer):
    """A server with state of its own, settings and hooks."""

    allow_reuse_port = True
    daemon_requests = True
    max_concurrent_requests = 100
    address_family = socket.AF_INET6
    timeout = 5

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, StoreHandler)
        self.values: dict[bytes, bytes] = {}

    async def verify_request(
        self, request: trioserver.Connection, client_address: tuple[str, int]
    ) -> bool:
        return client_address[0] == "127.0.0.1"

    async def handle_error(
        self, request: trioserver.Connection, client_address: tuple[str, int]
    ) -> None:
        raise  # noqa: PLE0704  # the idiom: the exception being handled


class StoreHandler(trioserver.StreamRequestHandler):
    """A handler that knows its server."""

    server: Store
    timeout = 10.0
    wbufsize = -1

    async def handle(self) -> None:
        async for line in self.rfile:
            key: bytes = line.strip()
            written: int = await self.wfile.write(self.server.values.get(key, b"\n"))
            await self.connection.send_all(b"%d\n" % written)


class ForkingStore(trioserver.ForkingMixIn, trioserver.TCPServer):
    """A server that forks, with a handler of the standard library's."""

    max_children = 10
    block_on_close = False

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, SynchronousHandler)


class SynchronousHandler(socketserver.StreamRequestHandler):
    """A handler as it was."""

    def handle(self) -> None:
        self.wfile.write(self.rfile.readline())


async def handle(
    request: trioserver.Connection, client_address: object, server: object
) -> None:
    """Handle a request as a plain function."""
    data: bytes = await request.receive_some(1024)
    await request.send_all(data)
    await request.send_eof()
    sock: socket.socket = request.socket
    sock.fileno()


class Upper(trioserver.DatagramRequestHandler):
    """A handler of datagrams."""

    async def handle(self) -> None:
        self.wfile.write(self.rfile.read().upper())
        host: str | None = self.socket.local_host
        sent: int = await self.socket.sendto(self.packet, 0, self.client_address)
        self.wfile.write(f"{host} {sent}".encode())


class Discovery(trioserver.UDPServer):
    """A server for datagrams with settings and hooks."""

    multicast_groups = ("239.255.77.1%lo",)
    max_packet_size = 512
    max_concurrent_requests = 1

    async def handle_truncated(
        self,
        request: tuple[bytes, trioserver.DatagramSocket],
        client_address: tuple[str, int],
    ) -> None:
        beginning, sock = request
        await sock.sendto(beginning, client_address)


class Dialogue(trioserver.DatagramSessionHandler):
    """A handler of sessions."""

    async def handle(self) -> None:
        self.session.timeout = 5
        first: bytes = await self.session.receive()
        async for data in self.session:
            await self.session.send(first + data)
        if self.session.end_reason == "expired":
            await self.session.aclose()


class Dialogues(trioserver.UDPSessionServer):
    """A server for sessions."""

    max_sessions = 10
    session_timeout = 1.5
    session_queue_size = 3
    session_drop_policy = "oldest"


async def serve_datagrams() -> None:
    """Run servers for datagrams."""
    server = Discovery(("", 0), Upper)
    dropped: int | None = server.statistics().dropped_by_kernel
    sessions: int = Dialogues(("::1", 0), Dialogue).statistics().sessions
    server.accept_own_datagrams = bool(dropped or sessions)
    await server.serve()


class BlockingHandler(socketserver.StreamRequestHandler):
    """A synchronous handler."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)


class ThreadedStore(trioserver.ThreadingMixIn, trioserver.TCPServer):
    """A server with threads, settings and hooks."""

    daemon_threads = True
    max_threads = 100

    async def process_request(
        self, request: socket.socket, client_address: tuple[str, int]
    ) -> None:
        await super().process_request(request, client_address)

    def process_request_thread(
        self, request: socket.socket, client_address: tuple[str, int]
    ) -> None:
        super().process_request_thread(request, client_address)


def serve_in_threads() -> None:
    """Run servers with threads."""
    with ThreadedStore(("localhost", 0), BlockingHandler) as server:
        running: int = server.thread_limiter.borrowed_tokens
        server.max_threads = running + 1
        server.daemon_threads = server.block_on_close
    trioserver.ThreadingUDPServer(("localhost", 0), BlockingHandler)
    trioserver.ThreadingUnixStreamServer("/run/store", BlockingHandler)
    trio.run(trioserver.ThreadingTCPServer(("localhost", 0), BlockingHandler).serve)


async def main() -> None:
    """Run servers in every way."""
    server = trioserver.TCPServer(("localhost", 0), handle)
    trioserver.TCPServer(("localhost", 0), partial(handle))
    trioserver.TCPServer(("::1", 0, 0, 0), StoreHandler, bind_and_activate=False)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve)
        await nursery.start(partial(server.serve, handler_nursery=nursery))
        nursery.start_soon(server.serve_forever, 0.1)
        await server.shutdown()
        await server.server_close()
    forking = trioserver.ForkingTCPServer(("localhost", 0), SynchronousHandler)
    await forking.collect_children(blocking=True)
    children: set[int] | None = ForkingStore(("localhost", 0)).active_children
    len(children or ())
    async with Store(("::1", 0)) as store:
        in_flight: int = store.requests_in_flight + store.fileno()
        await store.handle_request()
        await StoreHandler(None, in_flight, store)
    with server:
        trio.run(server.serve)


async def drive(nursery: trio.Nursery, server: http.server.HTTPServer) -> None:
    """An object of the standard library's is served as what it is."""
    await nursery.start(trioserver.serve_socketserver, server)
    await nursery.start(partial(trioserver.serve_socketserver, server, close=False))
    await trioserver.serve_socketserver(
        server, max_concurrent_requests=3, drain_timeout=1, handshake_timeout=1
    )


class Admin(trioserver.UnixStreamServer):
    """A server on a Unix socket, for some users."""

    socket_mode = 0o660
    allow_takeover = True
    allowed_uids = frozenset({0})

    async def verify_request(
        self, request: trioserver.Connection, client_address: str
    ) -> bool:
        who: trioserver.PeerCredentials = request.peer_credentials
        return who.uid in self.allowed_uids and who.gid == who.pid


async def pass_files(connection: trioserver.Connection) -> int:
    """Receive open files, and send them back."""
    try:
        data, descriptors = await connection.receive_fds(100, max_fds=2)
    except trioserver.DescriptorsLostError as error:
        return len(error.data) + error.max_fds
    await connection.send_fds(data, descriptors)
    return len(descriptors)


def make_unix_servers(path: Path) -> list[trioserver.TCPServer]:
    """Addresses may be of four types."""
    return [
        trioserver.UnixStreamServer(path, StoreHandler),
        Admin("\0name", StoreHandler),
        trioserver.UnixDatagramServer(b"path", trioserver.DatagramRequestHandler),
    ]


class NoNetwork:
    """A network that moves servers nowhere."""

    def adopt(self, server: trioserver.BaseServer) -> None:
        """Do nothing."""


async def scenario(trial: trioserver.testing.Trial) -> None:
    """Be two clients of a server, and one of something else."""
    async with trial.serving(Store(("::1", 0)), NoNetwork()) as server:
        values: dict[bytes, bytes] = server.values
        stream: trio.SocketStream = await trio.open_tcp_stream("::1", len(values))
        trial.add_client(stream)
        trial.add_limiter(trio.CapacityLimiter(1))
        await trial.visit(stream.send_all, b"data")
    async with trial.watching(server.serve):
        await trial.visit(trio.sleep, 1)


def testing(store: Store) -> None:
    """Find what is left behind, and end a server at every moment."""
    mine = trioserver.testing.Injection("mine", lambda trial: trial.cancel())
    report = trioserver.testing.cancel_everywhere(
        scenario,
        by=["cancel", mine],
        sample=10,
        paths=[Path(), "/run"],
        clock=trio.testing.MockClock,
    )
    failures: list[trioserver.testing.Failure] = report.failures
    problems: list[str] = report.problems
    report.check()
    with trioserver.testing.find_leaks(paths=["/run"], patience=1):
        store.values[b"failures"] = b"%d, %d" % (len(failures), len(problems))


async def run_for_a_block(store: Store) -> None:
    """Keep the type of the server."""
    async with trioserver.testing.running(store, patience=1) as running:
        running.values.clear()


async def look_at(store: Store) -> None:
    """A client of one class of server, and a probe."""
    assert store.values


def prove_that_failures_do_no_harm() -> trioserver.testing.Report:
    """With all the options."""
    return trioserver.testing.fail_everywhere(
        scenario,
        probe=look_at,
        operations=["accept", "epoll_ctl_add"],
        seed=1,
        sample=20,
        only=[1, 2],
        hang_seconds=1.0,
        paths=[Path()],
        clock=trio.testing.MockClock,
        stop_after=3,
    )
