"""What every check is given: how long it shall take, and who takes part."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import attrs
import trio

from soak.processes import Agent, SoakError, Value, running

# Seconds between two looks at what may still change.
SETTLING: Final = 0.1


@attrs.frozen
class Bench:
    """A place to make checks at."""

    length: float
    """1 is the usual length; counts and times are multiplied by it."""

    directory: Path
    """For files that are of no interest afterwards."""

    show: Callable[[str], None]
    """Called with what is being done, for those who wait."""

    _numbers: Iterator[int] = attrs.field(factory=itertools.count)

    def scaled(self, full: int, least: int = 1) -> int:
        """Return *full* for the length of this run, but not less than *least*."""
        return max(least, round(full * self.length))

    def seconds(self, full: float, least: float) -> float:
        """Return *full* seconds for the length of this run, or at least *least*."""
        return max(least, full * self.length)

    def server(self) -> AbstractAsyncContextManager[Agent]:
        """Run a server's process, which serves nothing yet."""
        return running("soak.serve", self._log("server"))

    def clients(self) -> AbstractAsyncContextManager[Agent]:
        """Run a process of clients, which do nothing yet."""
        return running("soak.clients", self._log("clients"))

    def _log(self, whose: str) -> Path:
        return self.directory / f"{whose}-{next(self._numbers)}.log"


def number(values: dict[str, Value], name: str) -> float:
    """Return one of *values*, which is a number."""
    value = values[name]
    if not isinstance(value, int | float):
        message = f"{name} is {value!r}, and no number"
        raise SoakError(message)
    return value


async def figures_at_rest(server: Agent) -> dict[str, Value]:
    """Return what the server holds, when nothing changes any more."""
    earlier: list[float] = []
    found = await server.ask("figures")
    while (now := [number(found, "descriptors"), number(found, "tasks")]) != earlier:
        earlier = now
        await trio.sleep(SETTLING)
        found = await server.ask("figures")
    return found
