"""A server of socketserver's that keeps its requests waiting, in threads."""

from __future__ import annotations

import socketserver
import threading

from kit.serving import LOOPBACK, STUCK


class BlockingGateHandler(socketserver.StreamRequestHandler):
    """Answers a line when the gate is open; it does not look at its socket before."""

    server: BlockingGateServer

    def handle(self) -> None:
        line = self.rfile.readline()
        self.server.inside.set()
        self.server.gate.wait(STUCK)
        self.server.finished += 1
        self.wfile.write(line.upper())


class BlockingGateServer(socketserver.ThreadingTCPServer):
    """Keeps its requests waiting."""

    def __init__(self) -> None:
        self.inside = threading.Event()
        self.gate = threading.Event()
        self.finished = 0
        super().__init__(LOOPBACK, BlockingGateHandler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing about clients that were cut off."""


class DaemonGateServer(BlockingGateServer):
    """Does not wait for its requests."""

    daemon_threads = True
