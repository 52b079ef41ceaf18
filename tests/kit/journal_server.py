"""Servers of socketserver's that note which of their hooks are called, and clients."""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from functools import partial
from typing import TypeAlias

from kit.driving import connect_blocking
from kit.serving import LOOPBACK
from kit.threads import UpperThreadHandler

Address: TypeAlias = object
Request: TypeAlias = socket.socket | tuple[bytes, socket.socket]


class JournalServer(socketserver.TCPServer):
    """Notes which hook was called in which thread."""

    error: BaseException = ValueError("handle")
    """For handlers that fail."""

    def __init__(
        self, handler: type[socketserver.BaseRequestHandler] = UpperThreadHandler
    ) -> None:
        self.journal: list[tuple[str, int]] = []
        super().__init__(LOOPBACK, handler)

    def hooks(self) -> list[str]:
        return [hook for hook, _ in self.journal]

    def threads_of(self, *hooks: str) -> set[int]:
        return {thread for hook, thread in self.journal if hook in hooks}

    def _note(self, hook: str) -> None:
        self.journal.append((hook, threading.get_ident()))

    def finish_request(self, request: Request, client_address: Address) -> None:
        self._note("finish_request")
        super().finish_request(request, client_address)

    def handle_error(self, request: Request, client_address: Address) -> None:
        self._note(f"handle_error: {sys.exception()!r}")

    def shutdown_request(self, request: Request) -> None:
        self._note("shutdown_request")
        super().shutdown_request(request)

    def close_request(self, request: Request) -> None:
        self._note("close_request")
        super().close_request(request)


class ThreadingJournalServer(socketserver.ThreadingMixIn, JournalServer):
    """As above, with threads."""


def ask(server: socketserver.TCPServer) -> bytes:
    """Ask once, and return everything up to the end."""
    with connect_blocking(server) as client:
        client.sendall(b"hello\n")
        client.shutdown(socket.SHUT_WR)
        return read_all(client)


def listen(server: socketserver.TCPServer) -> bytes:
    """Say nothing, and return everything up to the end."""
    with connect_blocking(server) as client:
        return read_all(client)


def talk(client: socket.socket) -> bytes:
    """Send a line, and return what comes back."""
    client.sendall(b"hello\n")
    return client.recv(10)


def read_all(client: socket.socket) -> bytes:
    return b"".join(iter(partial(client.recv, 1000), b""))
