"""The standard library's `socketserver` without threads: one request at a time."""

from __future__ import annotations

import socketserver

from benchmarks.peers.service import HOST
from benchmarks.peers.socketserver_threading import EchoDatagramHandler, serve

SERVICES = {
    "datagrams": lambda: serve(socketserver.UDPServer((HOST, 0), EchoDatagramHandler)),
}
