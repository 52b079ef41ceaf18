"""The way from one end to the other: when what is sent arrives."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import final

import trio

from trioserver._testing.link import Link, check_link

# What Ethernet carries of TCP. Pieces of a stream arrive one after the other where
# their number takes time; without that, one piece is as good as many.
_PIECE_BYTES = 1460


def now() -> float:
    """Return the time; before all times, where there is no clock.

    A server may be closed outside of Trio. What is sent then arrives at once.
    """
    return trio.current_time() if trio.lowlevel.in_trio_run() else -math.inf


@final
class Path:
    """One direction of a connection, with the `Link` that it has now."""

    __slots__ = (
        "__weakref__",
        "_default",
        "_fates",
        "_free_at",
        "_last_arrival",
        "_number",
        "_on_change",
        "_own",
        "_random",
        "_settle",
    )

    def __init__(self, default: Callable[[], Link], number: int) -> None:
        """Make a path that nothing has taken yet.

        Args:
            default: Returns the link, unless this path gets one of its own.
            number: Different for each path: what makes their luck differ.
        """
        self._default = default
        self._own: Link | None = None
        self._number = number
        self._settle: Callable[[], None] | None = None
        self._on_change: Callable[[], None] | None = None
        self._free_at = -math.inf
        self._last_arrival = -math.inf
        # Of 2.5 KiB, and for datagrams alone.
        self._random: random.Random | None = None
        self._fates = iter(self.link.fates)

    @property
    def link(self) -> Link:
        """How the path behaves. What is on its way already keeps its time."""
        return self._own or self._default()

    @link.setter
    def link(self, link: Link) -> None:
        check_link(link)
        self.begin_change()
        self._own = link
        self.end_change()

    def watch(self, settle: Callable[[], None], on_change: Callable[[], None]) -> None:
        """Call *settle* before the link changes, and *on_change* after that."""
        self._settle = settle
        self._on_change = on_change

    def begin_change(self) -> None:
        """Note that the link is about to be another one."""
        if self._settle is not None:
            self._settle()

    def end_change(self) -> None:
        """Note that the link is another one."""
        self._fates = iter(self.link.fates)
        self._random = None
        if self._on_change is not None:
            self._on_change()

    @property
    def has_default(self) -> bool:
        """Whether the link is the one of the network."""
        return self._own is None

    def arrival(self, size: int, extra: float = 0.0) -> float:
        """Return when *size* bytes arrive that are sent now."""
        link = self.link
        self._free_at = max(self._free_at, now()) + size / link.bytes_per_second
        return self._free_at + link.delay + extra

    def next_arrival(self, size: int = 0) -> float:
        """Return the same for a stream, where nothing overtakes anything."""
        self._last_arrival = max(self._last_arrival, self.arrival(size))
        return self._last_arrival

    def pieces(self, data: memoryview) -> Iterator[tuple[float, bytes]]:
        """Yield *data*, a part of a stream, as it arrives."""
        link = self.link
        most = len(data) if link.bytes_per_second == math.inf else _PIECE_BYTES
        step = int(min(link.segment_bytes, most))
        for start in range(0, len(data), step):
            with data[start : start + step] as part:
                yield self.next_arrival(len(part)), bytes(part)

    def copies(self, size: int) -> list[float]:
        """Return when the copies of a datagram of *size* bytes arrive; none is lost."""
        link = self.link
        fate = next(self._fates, None)
        if link.is_cut:
            return []
        if fate is None:
            fate = self._drawn(link)
        return [self.arrival(size, extra) for extra in fate]

    def _drawn(self, link: Link) -> tuple[float, ...]:
        if self._random is None:
            # Luck that can be repeated is what is wanted.
            self._random = random.Random(f"{link.seed} {self._number}")  # noqa: S311
        # All of it, always: so that one setting does not change the luck of another.
        lost, doubled, *late = (self._random.random() for _ in range(4))
        if lost < link.loss:
            return ()
        count = 2 if doubled < link.duplication else 1
        return tuple(part * link.jitter for part in late[:count])
