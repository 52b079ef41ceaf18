"""Datagrams as fast as they can be sent."""

from __future__ import annotations

import random
import socket

import trio

from soak.loads.connecting import connect
from soak.processes import Value


async def flood(address: Value, seconds: float, *, everywhere: bool) -> Value:
    """Send for some seconds, from more and more addresses or from one.

    Returns:
        How many were sent.
    """
    chance = random.Random(0)  # noqa: S311  # to be repeated, not to be secret
    sent = 0
    end = trio.current_time() + seconds
    sock = connect(address, socket.SOCK_DGRAM)
    while trio.current_time() < end:
        for _ in range(100):
            try:
                sock.send(chance.randbytes(chance.randrange(1200)))
                sent += 1
            except OSError:
                # Its queue is full, or a reply could not be delivered.
                continue
        if everywhere:
            sock.close()
            sock = connect(address, socket.SOCK_DGRAM)
        await trio.lowlevel.checkpoint()
    sock.close()
    return sent
