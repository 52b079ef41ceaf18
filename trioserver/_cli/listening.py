"""Make the servers of the command line: one for each address."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from contextlib import ExitStack

from trioserver._cli.bind_address import BindAddress
from trioserver._cli.errors import StartError
from trioserver._servers.base import HandlerFactory
from trioserver._servers.tcp import TCPServer


class BoundServer(TCPServer):
    """A server that knows how its address was written."""

    bind_address: BindAddress

    def __init__(self, bind_address: BindAddress, handler: HandlerFactory) -> None:
        """Bind and listen.

        Raises:
            OSError: If that is not possible.
        """
        super().__init__((bind_address.host, bind_address.port), handler)
        # What the system has chosen, if it was asked to.
        port: int = self.server_address[1]
        self.bind_address = BindAddress(bind_address.host, port)

    def server_bind(self) -> None:
        """Bind, and leave IPv4 to a server of its own.

        Linux and macOS let ``[::]`` have IPv4 as well; then ``0.0.0.0`` with the same
        port would be taken.
        """
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()


def bind_all(
    addresses: Iterable[BindAddress],
    handler: HandlerFactory,
    *,
    drain_timeout: float,
    closing: ExitStack,
) -> list[BoundServer]:
    """Return a listening server for each of *addresses*.

    Args:
        addresses: Where to listen.
        handler: What all of them serve.
        drain_timeout: Seconds that requests may take to finish.
        closing: Closes the sockets in the end.

    Raises:
        StartError: If one of them cannot listen.
    """
    servers: list[BoundServer] = []
    for address in addresses:
        try:
            server = closing.enter_context(BoundServer(address, handler))
        except OSError as error:
            raise StartError(explain(address, error)) from error
        server.drain_timeout = drain_timeout
        servers.append(server)
    return servers


def explain(address: BindAddress, error: OSError) -> str:
    """Return what *error* says is wrong with *address*, and what to do."""
    reason = error.strerror or str(error)
    if isinstance(error, socket.gaierror):
        return (
            f"{reason}: check the spelling, or use an address of this machine, as in "
            "tcp://127.0.0.1:9999"
        )
    if error.errno == errno.EAFNOSUPPORT and address.is_ipv6:
        return f"cannot listen on {address}: this machine has no IPv6; use IPv4"
    # The library names the address and a remedy where it binds, and nowhere else.
    if address.host in reason:
        return reason
    return f"cannot listen on {address}: {reason}"
