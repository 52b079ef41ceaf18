"""The standard library's socketserver, rebuilt on Trio's structured concurrency."""

from __future__ import annotations

import os as _os
import socket as _socket

from trioserver._bridge.serve_socketserver import serve_socketserver
from trioserver._concurrency.threading_mixin import ThreadingMixIn
from trioserver._datagrams.datagram_socket import DatagramSocket
from trioserver._datagrams.session import DatagramSession
from trioserver._datagrams.statistics import DatagramStatistics, SessionStatistics
from trioserver._exceptions import (
    AlreadyServingError,
    ConnectionLostError,
    DescriptorsLostError,
    IncompleteReadError,
    LimitOverrunError,
    ListenerBrokenError,
    NamelessPeerError,
    RequestTimeoutError,
    ServerClosedError,
    ServerError,
)
from trioserver._handlers.base import BaseRequestHandler
from trioserver._handlers.datagram import DatagramRequestHandler
from trioserver._handlers.session import DatagramSessionHandler
from trioserver._handlers.stream import StreamRequestHandler
from trioserver._peer_credentials import PeerCredentials
from trioserver._servers.base import BaseServer
from trioserver._servers.combinations import ThreadingTCPServer, ThreadingUDPServer
from trioserver._servers.tcp import TCPServer
from trioserver._servers.udp import UDPServer
from trioserver._servers.udp_sessions import UDPSessionServer
from trioserver._streams.connection import Connection
from trioserver._streams.reader import BufferedReader
from trioserver._streams.writer import BufferedWriter

__all__ = [  # noqa: RUF022  # grouped by what they are for
    # servers
    "BaseServer",
    "TCPServer",
    "UDPServer",
    "UDPSessionServer",
    "ThreadingMixIn",
    "ThreadingTCPServer",
    "ThreadingUDPServer",
    "DatagramStatistics",
    "SessionStatistics",
    # server objects of the standard library's
    "serve_socketserver",
    # handlers
    "BaseRequestHandler",
    "StreamRequestHandler",
    "DatagramRequestHandler",
    "DatagramSessionHandler",
    # what a handler reads and writes
    "BufferedReader",
    "BufferedWriter",
    "Connection",
    "DatagramSession",
    "DatagramSocket",
    "PeerCredentials",
    # errors
    "ServerError",
    "AlreadyServingError",
    "ConnectionLostError",
    "DescriptorsLostError",
    "IncompleteReadError",
    "LimitOverrunError",
    "ListenerBrokenError",
    "NamelessPeerError",
    "RequestTimeoutError",
    "ServerClosedError",
]

if hasattr(_socket, "AF_UNIX"):
    from trioserver._servers.unix import UnixDatagramServer, UnixStreamServer
    from trioserver._servers.unix_combinations import (
        ThreadingUnixDatagramServer,
        ThreadingUnixStreamServer,
    )

    __all__ += ["UnixStreamServer", "UnixDatagramServer"]  # noqa: RUF022  # as above
    __all__ += ["ThreadingUnixDatagramServer", "ThreadingUnixStreamServer"]

if hasattr(_os, "fork") and hasattr(_os, "waitid"):  # macOS has both since Python 3.13
    from trioserver._concurrency.forking_mixin import ForkingMixIn
    from trioserver._servers.forking import ForkingTCPServer, ForkingUDPServer

    __all__ += ["ForkingMixIn", "ForkingTCPServer", "ForkingUDPServer"]
    if hasattr(_socket, "AF_UNIX"):
        from trioserver._servers.unix_forking import (
            ForkingUnixDatagramServer,
            ForkingUnixStreamServer,
        )

        __all__ += ["ForkingUnixDatagramServer", "ForkingUnixStreamServer"]

# Tracebacks, pickles and the documentation name the public home of each class.
for _name in __all__:
    globals()[_name].__module__ = __name__
