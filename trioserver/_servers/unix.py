"""`UnixStreamServer` and `UnixDatagramServer`: servers for clients on this machine."""

from __future__ import annotations

import os
import socket as stdlib_socket
from typing import Final

from trioserver._engine.hooks import ClientAddress
from trioserver._servers.base import HandlerFactory
from trioserver._servers.tcp import TCPServer
from trioserver._servers.udp import UDPServer
from trioserver._sockets.bind import set_reuse
from trioserver._sockets.unix_bind import bind_unix
from trioserver._sockets.unix_claim import UnixClaim

# What connects needs the right to write: nobody but the user that the server runs as.
SOCKET_MODE: Final = 0o600

UnixAddress = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class UnixStreamServer(TCPServer):
    """A server for streams on a Unix socket.

    Like socketserver's, but asynchronous, and the file of the socket has an owner: it
    appears when the server listens, with `socket_mode`; it replaces one that a dead
    server has left, and never one of a server that lives, or anything that is no
    socket; it is removed when the server closes, if it is still the same.

    A client's address is ``""``, unless the client has bound its socket. Who it is, the
    request knows: `Connection.peer_credentials`.
    """

    address_family: int = stdlib_socket.AF_UNIX
    """The family of the socket."""

    socket_mode: int = SOCKET_MODE
    """The permissions of the socket's file, whatever the umask is.

    Who may write to it may connect. An abstract name has no file, and no permissions.
    """

    allow_takeover: bool = False
    """Whether to take the place of another server's file, although that one lives.

    No client is refused meanwhile. The other one goes on with the clients that it has,
    and should then be shut down.
    """

    _claim: UnixClaim | None = None

    def __init__(
        self,
        server_address: UnixAddress,
        RequestHandlerClass: HandlerFactory,
        bind_and_activate: bool = True,
    ) -> None:
        r"""Make the socket; bind it and listen, unless told not to.

        Args:
            server_address: A path. On Linux, one that begins with ``"\0"`` is an
                abstract name, to which everybody on this machine can connect.
            RequestHandlerClass: See `BaseServer`.
            bind_and_activate: Whether to call `server_bind` and `server_activate`. If
                not, the caller does, before serving.

        Raises:
            TypeError: If the address or the handler is of a wrong kind.
            ValueError: If no socket can have this address.
            OSError: If the address cannot be bound; the socket is closed then, and its
                file removed.
        """
        super().__init__(server_address, RequestHandlerClass, bind_and_activate)

    def server_bind(self) -> None:
        """Bind the socket to a hidden name beside its path. May be overridden."""
        set_reuse(
            self.socket, address=self.allow_reuse_address, port=self.allow_reuse_port
        )
        self.server_address: ClientAddress
        self.server_address, self._claim = bind_unix(
            self.socket,
            self.server_address,
            mode=self.socket_mode,
            allow_takeover=self.allow_takeover,
        )

    def server_activate(self) -> None:
        """Begin to listen, and put the file in its place. May be overridden."""
        super().server_activate()
        if self._claim is not None:
            self._claim.publish()

    async def _start_queued(self) -> None:
        # Before the queue is emptied: nobody finds the way into it any more.
        self._release_address()
        await super()._start_queued()

    def _release_address(self) -> None:
        claim, self._claim = self._claim, None
        if claim is not None:
            claim.withdraw()


class UnixDatagramServer(UDPServer):
    """A server for datagrams on a Unix socket: each is a request, ``(data, socket)``.

    Like socketserver's, but asynchronous, and the file of the socket has an owner, as
    that of a `UnixStreamServer` has.

    A client that has not bound its socket has the address None. It cannot be answered:
    ``sendto`` raises `NamelessPeerError`.
    """

    address_family: int = stdlib_socket.AF_UNIX
    """The family of the socket."""

    socket_mode: int = SOCKET_MODE
    """The permissions of the socket's file; see `UnixStreamServer.socket_mode`."""

    allow_takeover: bool = False
    """Whether to take the address of another server, although that one lives.

    Datagrams that it has not received yet are lost, and a client may find nobody for
    a moment.
    """

    _claim: UnixClaim | None = None

    def __init__(
        self,
        server_address: UnixAddress,
        RequestHandlerClass: HandlerFactory,
        bind_and_activate: bool = True,
    ) -> None:
        r"""Make the socket; bind it, unless told not to.

        Args:
            server_address: A path, or on Linux an abstract name that begins with
                ``"\0"``.
            RequestHandlerClass: See `BaseServer`.
            bind_and_activate: Whether to call `server_bind`. If not, the caller does,
                before serving.

        Raises:
            TypeError: If the address or the handler is of a wrong kind.
            ValueError: If no socket can have this address.
            OSError: If the address cannot be bound; the socket is closed then.
        """
        super().__init__(server_address, RequestHandlerClass, bind_and_activate)

    def server_bind(self) -> None:
        """Bind the socket to its path. May be overridden."""
        set_reuse(
            self.socket, address=self.allow_reuse_address, port=self.allow_reuse_port
        )
        self.server_address: ClientAddress
        self.server_address, self._claim = bind_unix(
            self.socket,
            self.server_address,
            mode=self.socket_mode,
            allow_takeover=self.allow_takeover,
        )

    def _release_address(self) -> None:
        claim, self._claim = self._claim, None
        if claim is not None:
            claim.withdraw()
