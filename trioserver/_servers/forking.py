"""The servers of socketserver that fork a child process for each request."""

from __future__ import annotations

from trioserver._concurrency.forking_mixin import ForkingMixIn
from trioserver._servers.tcp import TCPServer
from trioserver._servers.udp import UDPServer


class ForkingTCPServer(ForkingMixIn, TCPServer):
    """A `TCPServer` that handles each connection in a child process."""


class ForkingUDPServer(ForkingMixIn, UDPServer):
    """A `UDPServer` that handles each datagram in a child process."""
