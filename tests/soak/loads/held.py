"""Clients that hold their connections, and ask now and then."""

from __future__ import annotations

import socket
from typing import Final

import trio

from soak.loads.connecting import connect
from soak.processes import Value

# Seconds that a reply may take.
PATIENCE: Final = 10.0


class HeldClients:
    """Those that this process has, the first ones first."""

    def __init__(self) -> None:
        self._socks: list[socket.socket] = []

    async def open(self, address: Value, count: int) -> Value:
        """Open *count* more; each of them sends a line."""
        for _ in range(count):
            sock = connect(address)
            sock.send(b"first\n")
            self._socks.append(sock)
            await trio.lowlevel.checkpoint()
        return len(self._socks)

    async def ask(self, first: int, count: int, line: str) -> Value:
        """Return how many of *count*, from *first* on, have their reply.

        With no *line*, they ask nothing, and wait for the reply to their first one.
        """
        asked = self._socks[first : first + count]
        answers: list[bool] = []
        async with trio.open_nursery() as nursery:
            for sock in asked:
                nursery.start_soon(_ask, sock, line.encode(), answers)
        return sum(answers)

    async def close(self, first: int, count: int) -> Value:
        """Close some of them."""
        for sock in self._socks[first : first + count]:
            sock.close()
        del self._socks[first : first + count]
        return len(self._socks)


async def _ask(sock: socket.socket, line: bytes, answers: list[bool]) -> None:
    expected = (line or b"first\n").upper()
    received = b""
    with trio.move_on_after(PATIENCE):
        try:
            if line:
                sock.send(line)
            while not received.endswith(b"\n"):
                await trio.lowlevel.wait_readable(sock)
                if not (data := sock.recv(1000)):
                    break
                received += data
        except OSError:
            pass
    answers.append(received == expected)
