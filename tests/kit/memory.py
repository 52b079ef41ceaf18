"""Sockets in memory, without a server."""

from __future__ import annotations

import socket

from trioserver._testing.link import PERFECT, Link
from trioserver._testing.memory_socket import MemorySocket
from trioserver._testing.stream_end import StreamEnd
from trioserver._testing.wires import Wires

ADDRESSES = (("127.0.0.1", 10000), ("127.0.0.1", 9999))


def memory_pair(
    family: int = socket.AF_INET, link: Link = PERFECT
) -> tuple[MemorySocket, MemorySocket]:
    """Return both sockets of a connection: the client's, and the server's."""
    client, server = StreamEnd.pair(family, ADDRESSES, Wires(link).pair(None))
    return MemorySocket(client), MemorySocket(server)
