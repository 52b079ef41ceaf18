"""The floor: an epoll loop around sockets, with nothing else. No framework does less.

For long replies it is a blocking `sendall()`, which is the least that they can cost.
"""

from __future__ import annotations

import select
import signal
import socket
import sys
from contextlib import suppress

from benchmarks.peers.service import HOST, announce, reply_to


def serve_lines() -> None:
    """Answer all whole lines that have come with one send."""
    listener = socket.create_server((HOST, 0), backlog=1000)
    listener.setblocking(False)
    poller = select.epoll()
    poller.register(listener, select.EPOLLIN)
    connections: dict[int, tuple[socket.socket, bytes]] = {}
    _announce_until_terminated(listener)
    while True:
        for descriptor, _ in poller.poll():
            if descriptor == listener.fileno():
                connection = _accept(listener)
                connections[connection.fileno()] = connection, b""
                poller.register(connection, select.EPOLLIN)
                continue
            connection, rest = connections[descriptor]
            try:
                data = connection.recv(65536)
            except ConnectionError:
                data = b""
            if data:
                lines, end, rest = (rest + data).rpartition(b"\n")
                connection.send(lines + end)
                connections[descriptor] = connection, rest
            else:
                del connections[descriptor]
                connection.close()


def serve_replies() -> None:
    """Serve one connection after the other, and block."""
    listener = socket.create_server((HOST, 0))
    _announce_until_terminated(listener)
    while True:
        connection, _ = listener.accept()
        with suppress(OSError), connection, connection.makefile("rb") as lines:
            for line in lines:  # until the client has gone, perhaps within a reply
                connection.sendall(reply_to(line))


def serve_datagrams() -> None:
    """Answer whatever comes, one by one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 0))
        _announce_until_terminated(sock)
        while True:
            data, address = sock.recvfrom(65536)
            sock.sendto(data, address)


def _accept(listener: socket.socket) -> socket.socket:
    connection, _ = listener.accept()
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _announce_until_terminated(sock: socket.socket) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    announce(sock.getsockname()[1])


SERVICES = {
    "lines": serve_lines,
    "replies": serve_replies,
    "datagrams": serve_datagrams,
}
