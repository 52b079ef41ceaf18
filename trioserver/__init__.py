"""The standard library's socketserver, rebuilt on Trio's structured concurrency."""

from __future__ import annotations

from trioserver._bridge.serve_socketserver import serve_socketserver
from trioserver._datagrams.datagram_socket import DatagramSocket
from trioserver._datagrams.statistics import DatagramStatistics
from trioserver._exceptions import (
    AlreadyServingError,
    ConnectionLostError,
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
from trioserver._handlers.stream import StreamRequestHandler
from trioserver._servers.base import BaseServer
from trioserver._servers.tcp import TCPServer
from trioserver._servers.udp import UDPServer
from trioserver._streams.connection import Connection
from trioserver._streams.reader import BufferedReader
from trioserver._streams.writer import BufferedWriter

__all__ = [  # noqa: RUF022  # grouped by what they are for
    # servers
    "BaseServer",
    "TCPServer",
    "UDPServer",
    "DatagramStatistics",
    # server objects of the standard library's
    "serve_socketserver",
    # handlers
    "BaseRequestHandler",
    "StreamRequestHandler",
    "DatagramRequestHandler",
    # what a handler reads and writes
    "BufferedReader",
    "BufferedWriter",
    "Connection",
    "DatagramSocket",
    # errors
    "ServerError",
    "AlreadyServingError",
    "ConnectionLostError",
    "IncompleteReadError",
    "LimitOverrunError",
    "ListenerBrokenError",
    "NamelessPeerError",
    "RequestTimeoutError",
    "ServerClosedError",
]

# Tracebacks, pickles and the documentation name the public home of each class.
for _name in __all__:
    globals()[_name].__module__ = __name__
