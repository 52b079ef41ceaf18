"""The servers of `socketserver` that run requests in threads."""

from __future__ import annotations

from trioserver._concurrency.threading_mixin import ThreadingMixIn
from trioserver._servers.tcp import TCPServer
from trioserver._servers.udp import UDPServer


class ThreadingTCPServer(ThreadingMixIn, TCPServer):
    """A server for TCP that runs each request in a thread."""


class ThreadingUDPServer(ThreadingMixIn, UDPServer):
    """A server for UDP that runs each request in a thread."""
