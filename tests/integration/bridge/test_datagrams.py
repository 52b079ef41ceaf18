"""Datagrams, and Unix sockets, for an object."""

from __future__ import annotations

import errno
import os
import socket
import socketserver
import sys
import threading
from pathlib import Path

import pytest
import trio
import trio.testing

from kit.driving import driving, in_thread
from kit.journal_server import (
    Address,
)
from kit.serving import LOOPBACK, STUCK, eventually
from kit.threads import UpperThreadDatagramHandler, UpperThreadHandler
from trioserver import ListenerBrokenError, serve_socketserver


class SwitchingHandler(socketserver.BaseRequestHandler):
    """Makes the socket that it shares with all others blocking."""

    def handle(self) -> None:
        data, sock = self.request
        sock.setblocking(True)
        sock.sendto(data.upper(), self.client_address)


class NotingUDPServer(socketserver.UDPServer):
    """Looks at each datagram before anybody else does."""

    def get_request(self) -> tuple[tuple[bytes, socket.socket], Address]:  # type: ignore[override]  # as typeshed's own
        (data, sock), address = super().get_request()
        with pytest.raises(BlockingIOError):
            self.socket.recv(1)
        return (data, sock), address


def ask_datagram(server: socketserver.UDPServer) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(STUCK)
        client.connect(server.server_address)
        client.send(b"hello")
        return client.recv(10)


@pytest.mark.parametrize(
    "server_class",
    [socketserver.UDPServer, socketserver.ThreadingUDPServer, NotingUDPServer],
)
@pytest.mark.parametrize("handler", [UpperThreadDatagramHandler, SwitchingHandler])
async def test_datagrams_are_answered(
    server_class: type[socketserver.UDPServer],
    handler: type[socketserver.BaseRequestHandler],
) -> None:
    async with driving(server_class(LOOPBACK, handler)) as server:
        for _ in range(3):
            assert await in_thread(ask_datagram, server) == b"HELLO"


class TwiceUDPServer(socketserver.UDPServer):
    """Receives another datagram after each; to wait for one would hold up the end."""

    second: object = None

    def get_request(self) -> tuple[tuple[bytes, socket.socket], Address]:  # type: ignore[override]  # as typeshed's own
        request = super().get_request()
        try:
            self.second = self.socket.recv(10)
        except BlockingIOError as error:
            self.second = error
        return request


async def test_no_process_that_shares_the_socket_makes_get_request_wait() -> None:
    async with driving(TwiceUDPServer(LOOPBACK, UpperThreadDatagramHandler)) as server:
        await trio.testing.wait_all_tasks_blocked()
        os.set_blocking(server.fileno(), True)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            # If it waits, there is something to receive, and the test fails.
            late = [b"late", server.server_address]
            rescue = threading.Timer(STUCK / 4, client.sendto, late)
            rescue.start()
            assert await in_thread(ask_datagram, server) == b"HELLO"
            rescue.cancel()
            rescue.join()

    assert isinstance(server.second, BlockingIOError)


class WaitingHandler(socketserver.BaseRequestHandler):
    """Looks at how long it may wait for room for its reply."""

    def handle(self) -> None:
        _, sock = self.request
        sock.sendto(repr(sock.gettimeout()).encode(), self.client_address)


async def test_a_reply_waits_for_room_without_making_the_socket_blocking() -> None:
    async with driving(socketserver.UDPServer(LOOPBACK, WaitingHandler)) as server:
        assert float(await in_thread(ask_datagram, server)) > STUCK


async def test_datagrams_are_handled_in_the_order_of_their_arrival() -> None:
    seen: list[bytes] = []
    all_seen = trio.Event()
    token = trio.lowlevel.current_trio_token()

    class OrderHandler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            seen.append(self.request[0])
            if len(seen) == 50:
                token.run_sync_soon(all_seen.set)

    async with driving(socketserver.UDPServer(LOOPBACK, OrderHandler)) as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for number in range(50):
                client.sendto(b"%d" % number, server.server_address)
            await all_seen.wait()

    assert seen == [b"%d" % number for number in range(50)]


class NotingErrorsServer(socketserver.UDPServer):
    """Keeps what it should report."""

    def __init__(self) -> None:
        self.errors: list[BaseException | None] = []
        super().__init__(LOOPBACK, UpperThreadDatagramHandler)

    def handle_error(self, request: object, client_address: object) -> None:
        self.errors.append(sys.exception())


async def test_without_threads_a_datagram_is_an_error_and_the_next_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def no_threads(*args: object, **kwargs: object) -> None:
        await trio.lowlevel.checkpoint()
        message = "can't start new thread"
        raise RuntimeError(message)

    async with driving(NotingErrorsServer()) as server:
        with monkeypatch.context() as patch:
            patch.setattr(trio.to_thread, "run_sync", no_threads)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(b"hello", server.server_address)
            await eventually(lambda: server.errors)
        assert await in_thread(ask_datagram, server) == b"HELLO"

    assert [str(error) for error in server.errors] == ["can't start new thread"]


async def test_a_datagram_socket_that_breaks_ends_serving(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*args: object) -> None:
        raise OSError(errno.EBADF, "gone")

    server = NotingErrorsServer()
    monkeypatch.setattr(socket.socket, "recvfrom", fail)

    with pytest.raises(ListenerBrokenError):
        await serve_socketserver(server)


@pytest.mark.parametrize(
    "server_class",
    [socketserver.UnixStreamServer, socketserver.ThreadingUnixStreamServer],
)
async def test_unix_sockets_are_served(
    server_class: type[socketserver.UnixStreamServer], tmp_path: Path
) -> None:
    path = str(tmp_path / "socket")

    def ask_unix() -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(STUCK)
            client.connect(path)
            client.sendall(b"hello\n")
            return client.recv(10)

    async with driving(server_class(path, UpperThreadHandler)):
        assert await in_thread(ask_unix) == b"HELLO\n"
