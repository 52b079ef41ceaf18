"""Make the servers of the command line: one for each address."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Final

import attrs

from trioserver._cli.bind_address import BindAddress
from trioserver._cli.errors import StartError
from trioserver._cli.handler_kinds import is_for_sessions
from trioserver._cli.inet_address import InetAddress
from trioserver._cli.unix_address import UnixAddress
from trioserver._servers.base import HandlerFactory
from trioserver._servers.tcp import TCPServer
from trioserver._servers.udp import UDPServer
from trioserver._servers.udp_sessions import UDPSessionServer


@attrs.frozen
class BoundServer:
    """A server, with its address as it was written."""

    server: TCPServer
    bind_address: BindAddress


class _TCPServer(TCPServer):
    """Leaves IPv4 to a server of its own."""

    def server_bind(self) -> None:
        _leave_ipv4(self)
        super().server_bind()


class _UDPServer(UDPServer):
    """Leaves IPv4 to a server of its own."""

    def server_bind(self) -> None:
        _leave_ipv4(self)
        super().server_bind()


class _UDPSessionServer(UDPSessionServer):
    """Leaves IPv4 to a server of its own."""

    def server_bind(self) -> None:
        _leave_ipv4(self)
        super().server_bind()


def _leave_ipv4(server: TCPServer) -> None:
    """Keep ``[::]`` from having IPv4 as well, as Linux and macOS would let it.

    Then ``0.0.0.0`` with the same port would be taken.
    """
    if server.address_family == socket.AF_INET6:
        server.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


_INET_SERVERS: Final[dict[str, type[TCPServer]]] = {
    "tcp": _TCPServer,
    "udp": _UDPServer,
    "sessions": _UDPSessionServer,
}

_UNIX_SERVERS: Final[dict[str, Callable[[UnixAddress, HandlerFactory], TCPServer]]] = {}

if hasattr(socket, "AF_UNIX"):
    from trioserver._servers.unix import (
        SOCKET_MODE,
        UnixDatagramServer,
        UnixStreamServer,
    )

    class _UnixStreamServer(UnixStreamServer):
        """Has the mode that its address asks for."""

        def __init__(self, address: UnixAddress, handler: HandlerFactory) -> None:
            self.socket_mode = _mode(address)
            super().__init__(address.path, handler)

    class _UnixDatagramServer(UnixDatagramServer):
        """Has the mode that its address asks for."""

        def __init__(self, address: UnixAddress, handler: HandlerFactory) -> None:
            self.socket_mode = _mode(address)
            super().__init__(address.path, handler)

    def _mode(address: UnixAddress) -> int:
        return SOCKET_MODE if address.mode is None else address.mode

    _UNIX_SERVERS["unix"] = _UnixStreamServer
    _UNIX_SERVERS["unixgram"] = _UnixDatagramServer


def bind_all(
    addresses: Iterable[BindAddress],
    handler_for: Callable[[BindAddress], HandlerFactory],
    *,
    drain_timeout: float,
    closing: ExitStack,
) -> list[BoundServer]:
    """Return a listening server for each of *addresses*.

    Args:
        addresses: Where to listen.
        handler_for: What is served there.
        drain_timeout: Seconds that requests may take to finish.
        closing: Closes the sockets in the end.

    Raises:
        StartError: If one of them cannot listen.
    """
    servers: list[BoundServer] = []
    for address in addresses:
        try:
            bound = _bound(address, handler_for(address))
        except OSError as error:
            raise StartError(explain(address, error)) from error
        closing.enter_context(bound.server)
        bound.server.drain_timeout = drain_timeout
        servers.append(bound)
    return servers


def _bound(address: BindAddress, handler: HandlerFactory) -> BoundServer:
    if isinstance(address, UnixAddress):
        if address.scheme not in _UNIX_SERVERS:
            message = "this system has no Unix sockets; use tcp:// or udp://"
            raise OSError(errno.EAFNOSUPPORT, message)
        return BoundServer(_UNIX_SERVERS[address.scheme](address, handler), address)
    kind = "sessions" if is_for_sessions(handler) else address.scheme
    server = _INET_SERVERS[kind]((address.host, address.port), handler)
    # What the system has chosen, if it was asked to.
    port: int = server.server_address[1]
    return BoundServer(server, attrs.evolve(address, port=port))


def explain(address: BindAddress, error: OSError) -> str:
    """Return what *error* says is wrong with *address*, and what to do."""
    reason = error.strerror or str(error)
    if isinstance(error, socket.gaierror):
        return (
            f"{reason}: check the spelling, or use an address of this machine, as in "
            f"{address.scheme}://127.0.0.1:9999"
        )
    if error.errno == errno.EAFNOSUPPORT and _is_ipv6(address):
        return f"cannot listen on {address}: this machine has no IPv6; use IPv4"
    # The library names the address and a remedy where it binds, and nowhere else.
    if reason.startswith("cannot "):
        return reason
    return f"cannot listen on {address}: {reason}"


def _is_ipv6(address: BindAddress) -> bool:
    return isinstance(address, InetAddress) and address.is_ipv6
