"""An innocent client, who only wants to be served while others misbehave."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio

from soak.loads.connecting import split
from soak.processes import Value
from soak.verdicts import Figure

# Seconds between two requests.
PACE: Final = 0.01

# Seconds without a reply after which it counts as not served.
PATIENCE: Final = 30.0


@attrs.define
class Innocent:
    """What it has got."""

    replies: int = 0
    unanswered: int = 0
    worst: float = 0.0
    phase: str = ""
    failures: list[str] = attrs.field(factory=list)
    """What each unanswered one was doing, for the notes."""

    def figures(self) -> list[Figure]:
        """Return whether it was served, and how long it had to wait."""
        return [
            Figure("innocent client's replies", self.replies, least=1),
            Figure("unanswered", self.unanswered, most=0),
            Figure("worst latency", self.worst * 1000, "ms"),
        ]

    async def come_again(self, address: Value, is_over: trio.Event) -> None:
        """Ask, on one connection after the other, once more when all is over."""
        family, where = split(address)
        was_over = False
        while not was_over:
            was_over = is_over.is_set()
            began = time.monotonic()
            try:
                with trio.fail_after(PATIENCE):
                    await self._ask(family, where)
            except (OSError, trio.TooSlowError) as error:
                self._note_failure(repr(error))
            self.worst = max(self.worst, time.monotonic() - began)
            await trio.sleep(PACE)

    async def _ask(self, family: int, where: str | tuple[str, int]) -> None:
        with trio.socket.socket(family) as sock:
            self.phase = "connecting"
            await _connect(sock, where)
            self.phase = f"asking from {sock.getsockname()}"
            await sock.send(b"innocent\n")
            reply = await sock.recv(100)
            if reply == b"INNOCENT\n":
                self.replies += 1
            else:
                self._note_failure(repr(reply))

    def _note_failure(self, what: str) -> None:
        self.unanswered += 1
        self.failures.append(f"an innocent client, {self.phase}: {what}")


async def _connect(sock: trio.socket.SocketType, where: str | tuple[str, int]) -> None:
    while True:
        try:
            await sock.connect(where)
        except BlockingIOError:
            # So a Unix socket says that its listen queue is full: connect(2).
            await trio.sleep(PACE)
        else:
            return


@asynccontextmanager
async def served_meanwhile(
    address: Value, innocent: Innocent | None = None
) -> AsyncIterator[Innocent]:
    """Let an innocent client, by default a new one, ask until the block has ended."""
    innocent = innocent or Innocent()
    async with trio.open_nursery() as nursery:
        is_over = trio.Event()
        nursery.start_soon(innocent.come_again, address, is_over)
        yield innocent
        is_over.set()
