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

    def figures(self) -> list[Figure]:
        """Return whether it was served, and how long it had to wait."""
        return [
            Figure("innocent client's replies", self.replies, least=1),
            Figure("unanswered", self.unanswered, most=0),
            Figure("worst latency", self.worst * 1000, "ms"),
        ]

    async def come_again(self, address: Value) -> None:
        """Ask for ever, on one connection after the other."""
        family, where = split(address)
        while True:
            began = time.monotonic()
            try:
                with trio.fail_after(PATIENCE):
                    await self._ask(family, where)
            except (OSError, trio.TooSlowError, trio.BrokenResourceError):
                self.unanswered += 1
            self.worst = max(self.worst, time.monotonic() - began)
            await trio.sleep(PACE)

    async def _ask(self, family: int, where: str | tuple[str, int]) -> None:
        with trio.socket.socket(family) as sock:
            await sock.connect(where)
            await sock.send(b"innocent\n")
            if await sock.recv(100) == b"INNOCENT\n":
                self.replies += 1
            else:
                self.unanswered += 1


@asynccontextmanager
async def served_meanwhile(address: Value) -> AsyncIterator[Innocent]:
    """Let an innocent client ask while the block runs."""
    innocent = Innocent()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(innocent.come_again, address)
        yield innocent
        nursery.cancel_scope.cancel()
