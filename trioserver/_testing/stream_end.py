"""One end of a stream in memory, with what Linux says and does at each call."""

from __future__ import annotations

import errno
import math
import socket
import struct
from typing import Final, final

from trioserver._testing.end import End, Option, refuse, system_error
from trioserver._testing.path import Path
from trioserver._testing.pipe import Pipe

_LINGER: Final = (socket.SOL_SOCKET, socket.SO_LINGER)
_PEER_CREDENTIALS: Final = (socket.SOL_SOCKET, getattr(socket, "SO_PEERCRED", -1))
_TCP_INFO: Final = (socket.IPPROTO_TCP, getattr(socket, "TCP_INFO", -1))

# Of Linux's tcp_states.h: whether the peer has acknowledged all is what matters.
_ESTABLISHED, _FIN_WAIT2, _CLOSE = b"\1", b"\5", b"\7"

# struct linger: whether, and for how long.
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


@final
class StreamEnd(End):
    """One end of a connection."""

    peer: StreamEnd

    def __init__(self, family: int, address: object) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self.address = address
        self._is_local = family not in {socket.AF_INET, socket.AF_INET6}
        self.incoming: Pipe
        self.outgoing: Pipe
        self._eof_sent = False
        self._is_deaf = False
        self._is_reset = False

    @classmethod
    def pair(
        cls, family: int, addresses: tuple[object, object], paths: tuple[Path, Path]
    ) -> tuple[StreamEnd, StreamEnd]:
        """Return both ends of a connection: the client's, and the server's.

        Args:
            family: The family of the sockets.
            addresses: Those of the client and of the server.
            paths: From the client to the server, and back.
        """
        client, server = (cls(family, address) for address in addresses)
        client.peer, server.peer = server, client

        def wake() -> None:
            client.wake()
            server.wake()

        client.outgoing = server.incoming = Pipe(paths[0], wake)
        server.outgoing = client.incoming = Pipe(paths[1], wake)
        return client, server

    # What a socket does

    def peer_address(self) -> object:
        """Return the address of the other end."""
        self._look()
        if self.incoming.is_reset and not self._is_local:
            raise system_error(errno.ENOTCONN)
        return self.peer.address

    def send(self, data: memoryview, address: object, ancillary: object) -> int:
        """Send what there is room for."""
        if ancillary:
            refuse("to pass descriptors", "serve on a real Unix socket")
        self._look()
        if self._error and not self._is_local:
            raise self._told()
        if self._cannot_send():
            raise system_error(errno.EPIPE)
        if self.peer.is_closed:
            # The peer's kernel resets what comes for a socket that is closed.
            if not self.outgoing.path.link.is_cut:
                self.incoming.send_reset(self.outgoing.path.next_arrival(len(data)))
            return len(data)
        if data and not self.outgoing.room:
            raise BlockingIOError(errno.EAGAIN, "no room")
        return self.outgoing.send(data)

    def receive(
        self, max_bytes: int, *, is_peek: bool
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, object]:
        """Receive what has come."""
        self._look()
        data = self.incoming.receive(max_bytes, is_peek=is_peek)
        if data or not max_bytes:
            return data, [], 0, None
        # TCP speaks of an end-of-file as long as anybody asks, a local socket of the
        # reset first.
        if self.incoming.has_ended and not self._is_local:
            return b"", [], 0, None
        if self._error:
            raise self._told()
        if self.incoming.has_ended or self.incoming.is_reset or self._is_deaf:
            return b"", [], 0, None
        raise BlockingIOError(errno.EAGAIN, "nothing has come")

    def shutdown(self, how: int) -> None:
        """Send an end-of-file, or receive no more, or both."""
        self._look()
        if self.incoming.is_reset and not self._is_local:
            raise system_error(errno.ENOTCONN)
        if how in {socket.SHUT_RD, socket.SHUT_RDWR}:
            self._is_deaf = True
        if how in {socket.SHUT_WR, socket.SHUT_RDWR} and not self._eof_sent:
            self._eof_sent = True
            self.outgoing.send_eof()
        self.wake()

    def close(self) -> None:
        """Send an end-of-file, or a reset if something was not read."""
        self._look()
        if self.incoming.is_reset:
            pass  # nobody is there
        elif self._is_abortive():
            self.outgoing.send_reset()
        else:
            if not self._eof_sent:
                self.outgoing.send_eof()
            self._reset_what_comes()
        self.incoming.close()
        super().close()

    def abort(self) -> None:
        """Close with a reset, whatever was read."""
        self.outgoing.send_reset()
        self.incoming.close()
        super().close()

    def option(self, option: Option, length: int) -> int | bytes:
        """Return the value of an *option*."""
        self._look()
        if option == _PEER_CREDENTIALS:
            refuse("to ask who the client is", "serve on a real Unix socket")
        if option == _TCP_INFO:
            if self._is_local:
                raise system_error(errno.EOPNOTSUPP)
            if self.incoming.is_reset:
                return _CLOSE
            is_over = self._eof_sent and self.outgoing.is_delivered
            return _FIN_WAIT2 if is_over else _ESTABLISHED
        return super().option(option, length)

    # Waiting

    @property
    def is_readable(self) -> bool:
        """Whether a receive would not have to wait."""
        self._look()
        return (
            self.incoming.has_unread
            or self.incoming.has_ended
            or self.incoming.is_reset
            or self._is_deaf
        )

    @property
    def is_writable(self) -> bool:
        """Whether a send would not have to wait."""
        self._look()
        return self._cannot_send() or self.peer.is_closed or self.outgoing.room > 0

    @property
    def is_hung_up(self) -> bool:
        """Whether the connection is over in both directions."""
        self._look()
        if self.incoming.is_reset:
            return True
        # A peer that has closed a local socket can be sent nothing.
        is_ours_over = self._eof_sent or (self._is_local and self.peer.is_closed)
        return is_ours_over and (self.incoming.has_ended or self._is_deaf)

    @property
    def next_change(self) -> float:
        """When the next piece arrives."""
        return self.incoming.next_arrival

    # Inside

    def _look(self) -> None:
        """Take what has arrived; note a reset that is among it."""
        self.incoming.settle()
        if self.incoming.is_reset and not self._is_reset:
            self._is_reset = True
            # As tcp_reset() of Linux has it: who has got the end-of-file before is told
            # that nobody reads any more.
            is_late = self.incoming.has_ended and not self._is_local
            self._error = errno.EPIPE if is_late else errno.ECONNRESET

    def _cannot_send(self) -> bool:
        return (
            self._eof_sent
            or self.incoming.is_reset
            # A local socket knows what the peer does.
            or (self._is_local and (self.peer.is_closed or self.peer._is_deaf))  # noqa: SLF001  # of the same class
        )

    def _is_abortive(self) -> bool:
        # A local socket has no such option.
        has_option = self._options.get(_LINGER) == _RESET_ON_CLOSE
        return self.incoming.has_unread or (has_option and not self._is_local)

    def _reset_what_comes(self) -> None:
        """Answer what is on its way to here as a kernel does: nobody is here."""
        arrival = self.incoming.next_data
        if arrival < math.inf:
            self.outgoing.send_reset(arrival)
