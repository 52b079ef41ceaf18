"""This library with threads, and the handlers of `socketserver_threading` unchanged."""

from __future__ import annotations

import trioserver
from benchmarks.peers.service import HOST
from benchmarks.peers.socketserver_threading import (
    EchoDatagramHandler,
    EchoHandler,
    ReplyHandler,
)
from benchmarks.peers.trioserver import serve

SERVICES = {
    "lines": lambda: serve(trioserver.ThreadingTCPServer((HOST, 0), EchoHandler)),
    "replies": lambda: serve(trioserver.ThreadingTCPServer((HOST, 0), ReplyHandler)),
    "datagrams": lambda: serve(
        trioserver.ThreadingUDPServer((HOST, 0), EchoDatagramHandler)
    ),
}
