"""Twisted: https://docs.twisted.org/en/stable/core/howto/servers.html.

Its reactor stops at SIGTERM by itself.
"""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.protocols.basic import LineOnlyReceiver

from benchmarks.peers.service import HOST, announce, reply_to


class EchoProtocol(LineOnlyReceiver):
    """Sends each line back."""

    delimiter = b"\n"

    def connectionMade(self) -> None:  # noqa: N802  # Twisted's name
        self.transport.setTcpNoDelay(True)

    def lineReceived(self, line: bytes) -> None:  # noqa: N802  # Twisted's name
        self.sendLine(line)


class ReplyProtocol(LineOnlyReceiver):
    """Answers each line with many bytes."""

    delimiter = b"\n"

    def lineReceived(self, line: bytes) -> None:  # noqa: N802  # Twisted's name
        self.transport.write(reply_to(line))


class EchoDatagramProtocol(DatagramProtocol):
    """Sends each datagram back."""

    def datagramReceived(self, datagram: bytes, addr: object) -> None:  # noqa: N802  # Twisted's name
        self.transport.write(datagram, addr)


def serve(protocol: type[Protocol]) -> None:
    """Serve until SIGTERM."""
    port = reactor.listenTCP(
        0, Factory.forProtocol(protocol), backlog=1000, interface=HOST
    )
    announce(port.getHost().port)
    reactor.run()


def serve_datagrams() -> None:
    """Serve until SIGTERM."""
    port = reactor.listenUDP(0, EchoDatagramProtocol(), interface=HOST)
    announce(port.getHost().port)
    reactor.run()


SERVICES = {
    "lines": lambda: serve(EchoProtocol),
    "replies": lambda: serve(ReplyProtocol),
    "datagrams": serve_datagrams,
}
