"""`MemoryNetwork`: streams and datagrams that never leave the process."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Final, TypeVar, cast, final

from trioserver._datagrams.own_address import is_bound
from trioserver._engine.hooks import ClientAddress, Server
from trioserver._servers.base import BaseServer
from trioserver._servers.tcp import TCPServer
from trioserver._testing.address_book import AddressBook
from trioserver._testing.datagram_end import DatagramEnd
from trioserver._testing.end import End
from trioserver._testing.link import PERFECT, Link
from trioserver._testing.listener_end import ListenerEnd
from trioserver._testing.memory_socket import MemorySocket
from trioserver._testing.wires import Wires

ServerT = TypeVar("ServerT", bound=BaseServer)

_INTERNET: Final = frozenset({socket.AF_INET, socket.AF_INET6})

# Methods of servers that need real sockets, and why.
_UNFIT: Final = {
    "process_request_thread": "handlers in threads block on their sockets",
    "collect_children": "a child process has a memory of its own",
}

_MAKE_END: Final[dict[int, Callable[[int, AddressBook, Wires], End]]] = {
    socket.SOCK_STREAM: ListenerEnd,
    socket.SOCK_DGRAM: DatagramEnd,
}


@final
class MemoryNetwork:
    """A network in memory, for servers that do not know of it.

    Time is that of Trio's clock, the virtual one too: with ``autojump_clock``, a
    time-out of an hour takes no time. Nothing is left of the real network: no
    descriptor is opened, and two networks know nothing of each other.

    The sockets are non-blocking, and say what Linux's say: a full buffer, an
    end-of-file, a reset, a full queue. What needs the system cannot work: threads,
    child processes, TLS on sockets, descriptors that are passed, peer credentials. It
    is refused with a `NotImplementedError`, which names what to do instead.
    """

    def __init__(self, link: Link = PERFECT) -> None:
        """Make a network without servers.

        Args:
            link: How connections behave that have no link of their own.
        """
        self._wires = Wires(link)
        self._book = AddressBook()

    @property
    def link(self) -> Link:
        """How connections behave that have no link of their own, both ways.

        It may be changed at any time, and takes effect at once. What is on its way
        arrives when it would have arrived, unless the link is cut.
        """
        return self._wires.link

    @link.setter
    def link(self, link: Link) -> None:
        self._wires.link = link

    def adopt(self, server: ServerT) -> ServerT:
        """Put *server*, which does not serve yet, onto this network. Return it.

        Its socket is closed, and another one takes its place, at the same address; at
        another port if a server of this network has that one. One that was made with
        ``bind_and_activate=False`` is bound and activated, through its hooks.

        Raises:
            TypeError: If it is no server on a socket.
            NotImplementedError: If it needs a real socket.
            AlreadyServingError: If it is serving.
            ServerClosedError: If it was closed.
        """
        if not isinstance(server, TCPServer):
            message = f"a MemoryNetwork needs a server with a socket, not {server!r}"
            raise TypeError(message)
        _check_can_adopt(server)
        family, old = server.address_family, server.socket
        has_address = is_bound(old)
        make_end = _MAKE_END[server.socket_type]
        sock = MemorySocket(make_end(family, self._book, self._wires))
        _replace(old, sock, server)
        if has_address or family not in _INTERNET:
            # Not through its hook: it was called before; or would make a file.
            server.server_address = self._free_address(server)
            server.socket.bind(server.server_address)
            server.server_address = server.socket.getsockname()
            if server.socket_type == socket.SOCK_STREAM:
                server.socket.listen(server.request_queue_size)
        else:
            server.server_bind()
            server.server_activate()
        return server

    def _free_address(self, server: Server) -> ClientAddress:
        """Return the address of *server*, or one beside it if that is taken.

        Two real sockets can have had it, one after the other.
        """
        address: ClientAddress = server.server_address
        if server.address_family not in _INTERNET:
            return os.fspath(cast("str", address))
        host, _, *rest = address
        is_free = self._book.find(server.socket_type, address) is None
        return address if is_free else (host, 0, *rest)


def _replace(old: socket.socket, sock: MemorySocket, server: Server) -> None:
    """Close the *old* socket of *server*, and give it *sock* as its own."""
    server._release_address()  # noqa: SLF001  # with the file of a Unix socket
    old.close()
    server._own(sock)  # noqa: SLF001  # so that its queue is served when it closes


def _check_can_adopt(server: Server) -> None:
    server._serving.check_can_serve()  # noqa: SLF001  # what serve() asks first
    server._requests.check_can_open()  # noqa: SLF001  # likewise
    for method, reason in _UNFIT.items():
        if hasattr(server, method):
            message = (
                f"a {type(server).__name__} cannot serve in a MemoryNetwork: {reason}; "
                "leave the network out, and test it on a real socket"
            )
            raise NotImplementedError(message)
    if getattr(server, "multicast_groups", ()):
        message = "there is no multicast in a MemoryNetwork: test it on a real socket"
        raise NotImplementedError(message)
    if hasattr(server.socket, "do_handshake"):
        message = (
            "a socket that is wrapped for TLS cannot serve in a MemoryNetwork: let "
            "get_request() wrap each connection in a trio.SSLStream"
        )
        raise NotImplementedError(message)
