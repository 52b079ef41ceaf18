"""gevent: https://www.gevent.org/examples/echoserver.html."""

from __future__ import annotations

import signal
import socket

import gevent
from gevent.server import DatagramServer, StreamServer

from benchmarks.peers.service import HOST, announce, reply_to


def echo(sock: socket.socket, _address: object) -> None:
    """Send each line back."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sock.makefile(mode="rb") as lines:
        for line in lines:
            sock.sendall(line)


def reply(sock: socket.socket, _address: object) -> None:
    """Answer each line with many bytes."""
    with sock.makefile(mode="rb") as lines:
        for line in lines:
            sock.sendall(reply_to(line))


class EchoDatagramServer(DatagramServer):
    """Sends each datagram back."""

    def handle(self, data: bytes, address: tuple[str, int]) -> None:
        self.socket.sendto(data, address)


def serve(server: StreamServer | DatagramServer) -> None:
    """Serve until SIGTERM."""
    gevent.signal_handler(signal.SIGTERM, server.stop)
    server.start()
    announce(server.server_port)
    server.serve_forever()


SERVICES = {
    "lines": lambda: serve(StreamServer((HOST, 0), echo)),
    "replies": lambda: serve(StreamServer((HOST, 0), reply)),
    "datagrams": lambda: serve(EchoDatagramServer((HOST, 0))),
}
