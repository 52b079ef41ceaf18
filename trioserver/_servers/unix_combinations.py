"""The servers on Unix sockets that run requests in threads."""

from __future__ import annotations

from trioserver._concurrency.threading_mixin import ThreadingMixIn
from trioserver._servers.unix import UnixDatagramServer, UnixStreamServer


class ThreadingUnixStreamServer(ThreadingMixIn, UnixStreamServer):
    """A server for streams on a Unix socket that runs each request in a thread."""


class ThreadingUnixDatagramServer(ThreadingMixIn, UnixDatagramServer):
    """A server for datagrams on a Unix socket that runs each request in a thread."""
