"""`DatagramSocket`: the server's socket, as the handler of one datagram sees it."""

from __future__ import annotations

import socket
from typing import cast, final

from trioserver._datagrams.host_lookup import looked_up
from trioserver._datagrams.packet_info import AncillaryItem, destination, reply_source
from trioserver._datagrams.receiver import Datagram
from trioserver._datagrams.replies import Address, Buffer, Replies
from trioserver._datagrams.thread_socket import ThreadDatagramSocket


@final
class DatagramSocket:
    """The second half of a datagram's request: ``data, socket = self.request``.

    Like the socket that socketserver hands to a handler, but asynchronous, and a reply
    leaves from the address that the datagram was sent to, also where the server is
    bound to a wildcard. All else is at `socket`.
    """

    __slots__ = ("_ancillary", "_peer", "_replies", "is_truncated")

    def __init__(self, datagram: Datagram, replies: Replies) -> None:
        self.is_truncated: bool = datagram.is_truncated
        """Whether the datagram was longer than the server's ``max_packet_size``."""
        self._ancillary = datagram.ancillary
        self._peer = datagram.address
        self._replies = replies

    def __repr__(self) -> str:
        return f"<DatagramSocket {self.socket!r}>"

    @property
    def socket(self) -> socket.socket:
        """The socket itself, non-blocking, which all datagrams of the server share."""
        return self._replies.socket

    @property
    def local_host(self) -> str | None:
        """The address of ours that the datagram was sent to.

        Told by a server that is bound to a wildcard, where the system can; elsewhere
        None, and ``getsockname`` knows it.
        """
        return destination(self._ancillary)

    @property
    def source(self) -> tuple[AncillaryItem, ...]:
        """Where replies leave from, as ``sendmsg`` takes it; empty: as it is bound."""
        return tuple(reply_source(self._ancillary))

    def for_thread(self) -> ThreadDatagramSocket:
        """Return a duplicate that a synchronous handler can use.

        Raises:
            OSError: If there is no descriptor left.
        """
        return ThreadDatagramSocket.answering_from(
            self.source, self.socket, is_truncated=self.is_truncated
        )

    def forget_waiters(self) -> None:
        """Forget the tasks that wait to send, in a forked child, which has none."""
        self._replies.forget_waiters()

    def fileno(self) -> int:
        """Return the descriptor of `socket`."""
        return self.socket.fileno()

    def getsockname(self) -> object:
        """Return the address that the server is bound to."""
        return self.socket.getsockname()

    async def sendto(self, data: Buffer, *flags_and_address: object) -> int:
        """Send *data* as one datagram: ``sendto(data, [flags,] address)``.

        Waits while the system has no room for it, and while the host is looked up, if
        it is given by its name. Always a cancellation point; lets other tasks run now
        and then.

        Returns:
            The number of bytes sent, which is all of them.

        Raises:
            OSError: If it cannot be sent: it is too long, or there is no way there. A
                `socket.gaierror` if there is no such host.
            ConnectionLostError: If nobody is there.
            NamelessPeerError: If the address is None, as that of a client on a Unix
                socket without a name is; or if its port is 0, with which a client says
                that it wants no reply.
            trio.ClosedResourceError: If the server was closed, and its requests ended.

        Cancellation:
            Nothing was sent.
        """
        match flags_and_address:
            case (address,):
                flags = 0
            case (int(flags), address):
                pass
            case _:
                message = "sendto() takes the data, perhaps flags, and an address"
                raise TypeError(message)
        # That of the datagram comes from the system, and is no name.
        if address is not self._peer:
            address = await looked_up(cast("Address", address), self.socket)
        return await self._replies.send(data, flags, address, self.source)

    def sendto_nowait(self, data: Buffer, address: Address) -> bool:
        """Send *data* as `sendto` does, unless it would have to wait.

        Not a cancellation point. A host that is given by its name would be looked up,
        and all tasks would wait for that: give its address, or use `sendto`.

        Returns:
            Whether it was sent.

        Raises:
            OSError: As `sendto` does.
        """
        source = self.source if self._ancillary else ()
        sent = self._replies.send_nowait(data, 0, address, source)
        return sent is not None
