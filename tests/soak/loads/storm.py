"""Clients that come without a pause until the server refuses them."""

from __future__ import annotations

import errno
from collections import Counter
from typing import Final

import trio

from soak.loads.connecting import split
from soak.processes import Value

# A request, and its whole reply.
REQUEST: Final = b"what was accepted is answered " * 100 + b"\n"
REPLY: Final = REQUEST.upper()

# What the system says when nobody listens any more.
REFUSED: Final = (errno.ECONNREFUSED, errno.ENOENT)

# Seconds after which a client that is not connected tries anew. Its system would wait
# for a second: while a server closes, it drops what newcomers send.
ENTRY: Final = 0.2

# Seconds after which a client that was told that it is connected gives up.
PATIENCE: Final = 30.0


async def storm(address: Value, clients: int) -> Value:
    """Send request after request, each on its own connection, until one is refused.

    Returns:
        How many were answered, refused, and lost: those that were told that they are
        connected, and did not get all of the reply.
    """
    counts: Counter[str] = Counter(answered=0, refused=0, lost=0)
    counts["not let in"] = 0
    async with trio.open_nursery() as nursery:
        for _ in range(clients):
            nursery.start_soon(_come_again, address, counts)
    found: dict[str, Value] = dict(counts)
    return found


async def _come_again(address: Value, counts: Counter[str]) -> None:
    family, where = split(address)
    while not counts["refused"]:
        with trio.socket.socket(family) as sock:
            try:
                with trio.move_on_after(ENTRY) as entry:
                    await sock.connect(where)
            except OSError as error:
                counts["refused"] += 1
                if error.errno not in REFUSED:
                    counts[errno.errorcode.get(error.errno or 0, repr(error))] += 1
                return
            outcome = "not let in" if entry.cancelled_caught else await _ask(sock)
            counts[outcome] += 1


async def _ask(sock: trio.socket.SocketType) -> str:
    """Return what has become of one request."""
    received = b""
    with trio.move_on_after(PATIENCE):
        try:
            await trio.SocketStream(sock).send_all(REQUEST)
            while data := await sock.recv(65536):
                received += data
        except (OSError, trio.BrokenResourceError):
            return "lost"
    return "answered" if received == REPLY else "lost"
