"""How many requests may run at once."""

from __future__ import annotations

from typing import final

import trio


@final
class Admission:
    """The slots of a server: one for each request that may run at once.

    The limit may change at any time. Raising it admits those who wait; lowering it
    interrupts nobody, and admits nobody until enough have finished.
    """

    __slots__ = ("_limiter",)

    def __init__(self, limit: float) -> None:
        """Allow *limit* requests at once: a whole number, or `math.inf`."""
        self._limiter = trio.CapacityLimiter(limit)

    def set_limit(self, limit: float) -> None:
        """Allow *limit* requests at once from now on."""
        self._limiter.total_tokens = limit

    def slot(self) -> Slot:
        """Return a slot that is not taken yet."""
        return Slot(self._limiter)


@final
class Slot:
    """One request's place among those that may run at once."""

    __slots__ = ("_limiter", "_taken")

    def __init__(self, limiter: trio.CapacityLimiter) -> None:
        self._limiter = limiter
        self._taken = False

    @property
    def is_taken(self) -> bool:
        """Whether `take` was called, and `release` not yet."""
        return self._taken

    @property
    def is_over_limit(self) -> bool:
        """Whether the limit was lowered below what is taken now."""
        return self._limiter.borrowed_tokens > self._limiter.total_tokens

    async def take(self) -> None:
        """Wait for the slot. A checkpoint only if there is something to wait for.

        Cancellation:
            The slot is not taken.
        """
        try:
            self._limiter.acquire_on_behalf_of_nowait(self)
        except trio.WouldBlock:
            await self._limiter.acquire_on_behalf_of(self)
        self._taken = True

    def release(self) -> None:
        """Give the slot back, if it was taken."""
        if self._taken:
            self._taken = False
            self._limiter.release_on_behalf_of(self)
