"""Clients that are slow: each kind in its own way."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Final

import trio

from soak.loads.connecting import connect, reset
from soak.processes import Value

# What each kind sends when it has connected.
FIRST: Final = {
    "silent": b"",
    "dripping": b"x",
    "not reading": b"big\n",
}

# Seconds between two bytes of one that drips.
PACE: Final = 1.0


class SlowClients:
    """Those that this process has."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._is_dripping = False
        self._socks: dict[str, list[socket.socket]] = {kind: [] for kind in FIRST}

    async def open(self, address: Value, kind: str, count: int) -> Value:
        """Open *count* more."""
        socks = self._socks[kind]
        if kind == "dripping" and not self._is_dripping:
            self._is_dripping = True
            self._nursery.start_soon(self._drip)
        for _ in range(count):
            sock = connect(address)
            if kind == "not reading":
                # What the kernels hold is not what is measured.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            if FIRST[kind]:
                sock.send(FIRST[kind])
            socks.append(sock)
            await trio.lowlevel.checkpoint()
        return len(socks)

    async def close(self) -> Value:
        """Close all of them."""
        socks = [sock for kind in self._socks.values() for sock in kind]
        for sock in socks:
            reset(sock)
        for kind in self._socks.values():
            kind.clear()
        return len(socks)

    async def count_ended(self, kind: str) -> Value:
        """Return how many the server has ended."""
        return sum(map(_is_ended, self._socks[kind]))

    async def _drip(self) -> None:
        while True:
            await trio.sleep(PACE)
            for sock in self._socks["dripping"]:
                with suppress(OSError):
                    sock.send(b"x")
                await trio.lowlevel.checkpoint()


def _is_ended(sock: socket.socket) -> bool:
    """Read what there is, and return whether the end is behind it."""
    try:
        while sock.recv(1 << 20):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
