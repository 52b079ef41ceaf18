"""End a connection so that the peer gets the whole reply.

A kernel that closes a socket with unread input resets the connection, and throws
away what is still on its way: of a reply of 200 000 bytes, 6 464 were lost
(RFC 9112, section 9.6, has the same in words). So: half-close, read and discard
until the peer closes too, and only then close.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import attrs
import trio

from trioserver._cancellation import time_left
from trioserver._streams.budget import OPERATIONS, Budget
from trioserver._streams.connection import RECEIVE_BYTES, Connection
from trioserver._streams.delivery import is_acknowledged, is_delivered

# Seconds. gunicorn lingers for 2 s, nginx for up to 30 s and 5 s between reads.
LINGER_TIMEOUT: Final = 2.0

# Enough for an upload that was refused in its middle; a peer that goes on sending
# beyond it is reset.
MAX_LINGER_BYTES: Final = 16 * 1048576

# Seconds between two looks at whether the peer's kernel has all of the reply.
_DELIVERY_PAUSE: Final = 0.01

# Nothing can be waited for: the peer is gone, the handler has closed the connection,
# or a task that it left behind is still sending.
_ENDED: Final = (
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.BusyResourceError,
)


def half_close_after_peer(connection: Connection) -> bool:
    """Send an end-of-file if the peer has sent its own. Return whether that is all.

    Nothing is left then that could make the kernel reset the connection. The
    end-of-file is sent all the same: closing does not send it while another process has
    the socket open, too.
    """
    if not connection.has_received_eof or connection.holds_output:
        return False
    with suppress(*_ENDED):  # the peer may be gone meanwhile
        connection.half_close()
    return True


@trio.lowlevel.enable_ki_protection
async def half_close_and_linger(
    connection: Connection,
    *,
    linger_timeout: float = LINGER_TIMEOUT,
    max_bytes: float = MAX_LINGER_BYTES,
    in_demand: bool = False,
) -> None:
    """Send an end-of-file, then discard input until the peer sends its own.

    In a task that has less time left than that, or where others wait for its place, it
    also ends as soon as the peer has acknowledged all of the reply, where the system
    can tell. A peer that still sends then is reset, but has what it was sent.

    Args:
        connection: Stays open; the caller closes it.
        linger_timeout: Seconds to wait for the peer.
        max_bytes: Bytes to discard before giving up.
        in_demand: Whether others wait for the place of this connection.

    Cancellation:
        Lingering ends. The caller can call again, under a deadline.
    """
    try:
        if half_close_after_peer(connection):
            return
        is_hurried = in_demand or time_left() < linger_timeout
        discarded = _Bin(connection, max_bytes)
        if is_hurried and discarded.ends_at_once():
            return
        discard = discarded.fill_until_delivered if is_hurried else discarded.fill
        with trio.move_on_after(linger_timeout):
            await connection.flush()
            connection.half_close()
            await discard()
    except _ENDED:
        return


@attrs.define
class _Bin:
    """Where input goes that nobody will read."""

    connection: Connection
    room_bytes: float

    def ends_at_once(self) -> bool:
        """Half-close, and tell whether there is nothing to wait for.

        A server that stops does this for each of its connections. Most are idle: the
        peer has had the last reply for long, and nobody needs to wait until it has the
        end-of-file as well, which the kernel sends until it is acknowledged.
        """
        connection = self.connection
        if connection.holds_output or not is_acknowledged(connection.socket):
            return False
        connection.half_close()
        for _ in range(OPERATIONS):
            if self.room_bytes <= 0:
                return True
            data = connection.receive_nowait(RECEIVE_BYTES)
            if not data:
                return True
            self.room_bytes -= len(data)
        return False  # a peer that sends on and on must not hold up the others

    async def fill(self) -> None:
        """Discard input until its end, or until there is no room."""
        budget = Budget()
        while self.room_bytes > 0:
            await budget.spend()
            data = await self.connection.receive(RECEIVE_BYTES)
            if not data:
                return
            self.room_bytes -= len(data)

    async def fill_until_delivered(self) -> None:
        """Discard input as `fill` does, or until the peer's kernel has all output."""
        while True:
            with trio.move_on_after(_DELIVERY_PAUSE):
                await self.fill()
                return
            if is_delivered(self.connection.socket):
                return
