"""The servers on Unix sockets that fork a child process for each request."""

from __future__ import annotations

from trioserver._concurrency.forking_mixin import ForkingMixIn
from trioserver._servers.unix import UnixDatagramServer, UnixStreamServer


class ForkingUnixStreamServer(ForkingMixIn, UnixStreamServer):
    """A `UnixStreamServer` that handles each connection in a child process."""


class ForkingUnixDatagramServer(ForkingMixIn, UnixDatagramServer):
    """A `UnixDatagramServer` that handles each datagram in a child process."""
