"""What the server under test can serve."""

from __future__ import annotations

import http.server
import os
import socket
import socketserver
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio

from trioserver import (
    BaseServer,
    DatagramRequestHandler,
    DatagramSessionHandler,
    DescriptorsLostError,
    StreamRequestHandler,
    TCPServer,
    ThreadingTCPServer,
    UDPServer,
    UDPSessionServer,
    UnixDatagramServer,
    UnixStreamServer,
)

HOST: Final = "127.0.0.1"

# A reply that does not fit into the buffers of a socket, which are kept small: by
# itself, the system would take 4 MiB for each client that does not read.
BIG: Final = bytes(range(256)) * 4096
SEND_BUFFER: Final = 16384


def raise_what_was_sent(text: bytes) -> None:
    """Raise an error that quotes the client, as careless handlers do."""
    message = text.decode("utf-8", "surrogateescape")
    kind, _, message = message.partition(" ")
    if kind == "group":
        raise ExceptionGroup(message, [ValueError(message), OSError(message)])
    if kind == "note":
        error = ValueError("see the note")
        error.add_note(message)
        raise error
    if kind == "syntax":
        raise SyntaxError(message, (message, 1, 1, message))
    if kind == "type":
        # As with what a protocol calls an error.
        raise type("Remote", (Exception,), {"__qualname__": message})(message)
    raise ValueError(message)


class LineHandler(StreamRequestHandler):
    """Answers each line in upper case; some lines ask for something else."""

    max_line_bytes = 1_000_000

    async def handle(self) -> None:
        """Answer until the client ends."""
        async for line in self.rfile:
            if line == b"big\n":
                sock = self.request.socket
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
                await self.wfile.write(BIG)
            elif line.startswith(b"fail "):
                raise_what_was_sent(line.removeprefix(b"fail ")[:-1])
            else:
                await self.wfile.write(line.upper())


class OnceHandler(StreamRequestHandler):
    """Answers one line in upper case, after a moment, and ends."""

    async def handle(self) -> None:
        """Answer once."""
        line = await self.rfile.readline()
        await trio.sleep(0.001)
        await self.wfile.write(line.upper())


class ThreadLineHandler(socketserver.StreamRequestHandler):
    """The same as `LineHandler`, in a thread."""

    def handle(self) -> None:
        """Answer until the client ends."""
        for line in self.rfile:
            if line.startswith(b"fail "):
                raise_what_was_sent(line.removeprefix(b"fail ")[:-1])
            self.wfile.write(BIG if line == b"big\n" else line.upper())


class UpperDatagramHandler(DatagramRequestHandler):
    """Answers each datagram in upper case."""

    async def handle(self) -> None:
        """Answer."""
        if self.packet.startswith(b"fail "):
            raise_what_was_sent(self.packet.removeprefix(b"fail "))
        self.wfile.write(self.packet.upper())


class SessionHandler(DatagramSessionHandler):
    """Answers each datagram of a peer in upper case."""

    async def handle(self) -> None:
        """Answer until the peer says goodbye."""
        async for data in self.session:
            if data.startswith(b"fail "):
                raise_what_was_sent(data.removeprefix(b"fail "))
            if data == b"bye":
                return
            await self.session.send(data.upper())


class DescriptorHandler(StreamRequestHandler):
    """Takes descriptors, closes them, and says how many there were."""

    async def handle(self) -> None:
        """Answer until the client ends."""
        while True:
            try:
                data, files = await self.request.receive_fds(65536, 4)
            except DescriptorsLostError:
                await self.wfile.write(b"too many\n")
                continue
            for file in files:
                os.close(file)
            if not data:
                return
            await self.wfile.write(b"%d\n" % len(files))


class WebHandler(http.server.BaseHTTPRequestHandler):
    """Answers GET."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *arguments: object) -> None:
        """Say nothing: these lines are the standard library's."""


class WebServer(http.server.ThreadingHTTPServer):
    """Keeps quiet about what its clients do to it."""

    request_queue_size = 100  # with five, clients wait for seconds

    def handle_error(self, *arguments: object) -> None:
        """Say nothing: as above."""


def _datagrams_with_a_path(directory: Path) -> BaseServer:
    server = UnixDatagramServer(str(directory / "datagrams"), UpperDatagramHandler)
    server.max_packet_size = 1000
    return server


def _small_datagrams(directory: Path) -> BaseServer:
    server = UDPServer((HOST, 0), UpperDatagramHandler)
    server.max_packet_size = 1000
    return server


def _few_threads(_directory: Path) -> BaseServer:
    server = ThreadingTCPServer((HOST, 0), ThreadLineHandler)
    # Trio keeps idle threads, of 40 KiB each: what is left shall not depend on how many
    # there were at once, nor on how many waited for one.
    server.max_concurrent_requests = 20
    return server


SERVICES: Final[dict[str, Callable[[Path], BaseServer]]] = {
    "lines": lambda _: TCPServer((HOST, 0), LineHandler),
    "once": lambda _: TCPServer((HOST, 0), OnceHandler),
    "unix lines": lambda place: UnixStreamServer(str(place / "lines"), LineHandler),
    "unix once": lambda place: UnixStreamServer(str(place / "once"), OnceHandler),
    "threads": _few_threads,
    "datagrams": _small_datagrams,
    "unix datagrams": _datagrams_with_a_path,
    "sessions": lambda _: UDPSessionServer((HOST, 0), SessionHandler),
    "descriptors": lambda p: UnixStreamServer(str(p / "passing"), DescriptorHandler),
}


def make_web_server() -> WebServer:
    """Return the object of the standard library's that is driven."""
    return WebServer((HOST, 0), WebHandler)
