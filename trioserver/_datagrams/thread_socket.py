"""The server's socket, as the handler of one datagram sees it in a thread."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Final, NamedTuple, cast, final

from trioserver._datagrams.packet_info import AncillaryItem, reply_source
from trioserver._datagrams.receiver import Datagram
from trioserver._datagrams.replies import Buffer, is_answerable, is_nobody
from trioserver._exceptions import connection_lost, nameless_peer
from trioserver._open_descriptors import note_open

# Seconds that a call may wait. It cannot be interrupted, since all requests share what
# the descriptors stand for, and no send buffer stays full for that long.
DATAGRAM_TIMEOUT: Final = 10.0


@final
class ThreadDatagramSocket(socket.socket):
    """A duplicate of the server's socket, for one datagram in one thread.

    A reply leaves from the address that the datagram was sent to. Both sockets have
    one description in the kernel, which must stay non-blocking for Trio; so this one
    never blocks, but waits `DATAGRAM_TIMEOUT` seconds at the most.
    """

    _source: Sequence[AncillaryItem] = ()

    is_truncated: bool = False
    """Whether the datagram was longer than the server's ``max_packet_size``."""

    @classmethod
    def answering(cls, datagram: Datagram, sock: socket.socket) -> ThreadDatagramSocket:
        """Return a duplicate of *sock* that answers *datagram*.

        Raises:
            OSError: If there is no descriptor left.
        """
        source = reply_source(datagram.ancillary)
        return cls.answering_from(source, sock, is_truncated=datagram.is_truncated)

    @classmethod
    def answering_from(
        cls, source: Sequence[AncillaryItem], sock: socket.socket, *, is_truncated: bool
    ) -> ThreadDatagramSocket:
        """Return a duplicate of *sock* whose datagrams leave from *source*.

        Raises:
            OSError: If there is no descriptor left.
        """
        fileno = socket.dup(sock.fileno())
        made = cls(sock.family, sock.type, sock.proto, fileno=fileno)
        note_open(made)
        made.settimeout(DATAGRAM_TIMEOUT)
        made._source = source
        made.is_truncated = is_truncated
        return made

    def settimeout(self, value: float | None, /) -> None:
        """Let calls wait for *value* seconds; None is `DATAGRAM_TIMEOUT`."""
        super().settimeout(DATAGRAM_TIMEOUT if value is None else value)

    def setblocking(self, flag: bool, /) -> None:
        """Let calls wait, or not."""
        self.settimeout(DATAGRAM_TIMEOUT if flag else 0)

    def sendto(self, data: Buffer, *flags_and_address: object) -> int:  # type: ignore[override]  # two overloads there
        """Send *data* as one datagram: ``sendto(data, [flags,] address)``.

        Raises:
            OSError: If it cannot be sent. A `ConnectionLostError` if that is for want
                of somebody to receive it.
            NamelessPeerError: If the address is None, or its port is 0.
            TimeoutError: If there was no room for it for too long.
        """
        if flags_and_address and not is_answerable(flags_and_address[-1]):
            raise nameless_peer()
        try:
            return self._sendto(data, *flags_and_address)
        except OSError as error:
            if is_nobody(error, self):
                raise connection_lost(error) from error
            raise

    def _sendto(self, data: Buffer, *flags_and_address: object) -> int:
        if not self._source or not flags_and_address:
            return super().sendto(data, *cast("tuple[str]", flags_and_address))
        *given, address = flags_and_address
        (flags,) = cast("list[int]", given or [0])
        to = cast("str", address)  # or a tuple, whatever the family has
        return self.sendmsg([data], self._source, flags, to)


class ThreadDatagram(NamedTuple):
    """The request of a datagram in a thread: ``data, socket = self.request``."""

    data: bytes
    """What was sent."""

    socket: ThreadDatagramSocket
    """Where to answer."""

    def close(self) -> None:
        """Close the duplicate."""
        self.socket.close()
