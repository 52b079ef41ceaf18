"""Synchronous handlers, and how to watch the threads that run them."""

from __future__ import annotations

import itertools
import socket
import socketserver
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import trio

from kit.serving import LOOPBACK, STUCK, connect, eventually, receive_all, serving
from trioserver import TCPServer, ThreadingTCPServer, ThreadingUDPServer

# A handler whose server and request may be of any kind.
AnyHandler: TypeAlias = Any  # type: ignore[explicit-any]  # see above

# What stands for its ``handle()``.
Handle: TypeAlias = Callable[[AnyHandler], object]

# Seconds; nobody waits for them, since something else ends the wait first.
FOREVER = 3600


class UpperThreadHandler(socketserver.StreamRequestHandler):
    """Answers each line in upper case."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line.upper())


class UpperThreadDatagramHandler(socketserver.DatagramRequestHandler):
    """Answers a datagram in upper case."""

    def handle(self) -> None:
        self.wfile.write(self.rfile.read().upper())


def handling(handle: Handle) -> type[socketserver.BaseRequestHandler]:
    """Return a handler class for streams that does *handle*."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            handle(self)

    return Handler


class Gate:
    """Where handlers wait, each in its thread, until it is opened."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self._lock = threading.Lock()
        self.inside = 0
        """How many have come here so far."""
        self.passed = 0
        """How many have left again."""

    def wait(self) -> None:
        """Wait for the gate, in a thread."""
        with self._lock:
            self.inside += 1
        assert self._opened.wait(STUCK)
        with self._lock:
            self.passed += 1

    def open(self) -> None:
        """Let everybody pass."""
        self._opened.set()

    async def wait_inside(self, count: int) -> None:
        """Wait until *count* handlers have come."""
        with trio.fail_after(STUCK):
            await eventually(lambda: self.inside >= count)


async def threads_ended(server: ThreadingTCPServer | ThreadingUDPServer) -> None:
    """Wait until the last thread of *server* has ended."""
    with trio.fail_after(STUCK):
        await eventually(lambda: server.thread_limiter.borrowed_tokens == 0)


def wait_for_threads() -> None:
    """Wait until no server has a thread that works, outside of Trio.

    Those that were abandoned were interrupted, and may take a moment.
    """
    ours = [thread for thread in threading.enumerate() if thread.name == "trioserver"]
    list(map(threading.Thread.join, ours, itertools.repeat(STUCK)))
    assert not any(thread.is_alive() for thread in ours)


def threading_server(handle: Handle, **settings: object) -> ThreadingTCPServer:
    """Return a server whose handlers do *handle*, with *settings* of its class."""
    class_ = type("Server", (ThreadingTCPServer,), settings)
    server: ThreadingTCPServer = class_(LOOPBACK, handling(handle))
    return server


def fill_send_buffer(request: socket.socket) -> None:
    """Send on *request* until nobody reads, and beyond: it blocks."""
    while True:
        request.sendall(bytes(65536))


async def reply_of(server: TCPServer, sends: bytes = b"hello\n") -> bytes:
    """Return all that one client is answered."""
    async with serving(server):
        async with await connect(server) as client:
            await client.send_all(sends)
            await client.send_eof()
            return await receive_all(client)
