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

    __slots__ = ("_closing", "_limiter", "_waiting")

    def __init__(self, limit: float) -> None:
        """Allow *limit* requests at once: a whole number, or `math.inf`."""
        self._limiter = trio.CapacityLimiter(limit)
        self._waiting: set[trio.CancelScope] = set()
        self._closing = False

    def set_limit(self, limit: float) -> None:
        """Allow *limit* requests at once from now on."""
        self._limiter.total_tokens = limit
        self._give_up_if_hopeless()

    def close(self) -> None:
        """Let nobody wait in vain: the limit may be 0, and nobody will raise it."""
        self._closing = True
        self._give_up_if_hopeless()

    @property
    def is_open(self) -> bool:
        """Whether the limit lets anybody in at all."""
        return self._limiter.total_tokens > 0

    @property
    def is_full(self) -> bool:
        """Whether every slot is taken."""
        return self._limiter.available_tokens <= 0

    @property
    def is_over(self) -> bool:
        """Whether the limit was lowered below what is taken now."""
        return self._limiter.available_tokens < 0

    def slot(self) -> Slot:
        """Return a slot that is not taken yet."""
        return Slot(self)

    # For slots

    async def acquire(self, slot: Slot) -> bool:
        """Take a token for *slot*. Return False if that will never be possible."""
        try:
            self._limiter.acquire_on_behalf_of_nowait(slot)
        except trio.WouldBlock:
            return await self._wait(slot)
        return True

    def release(self, slot: Slot) -> None:
        """Give the token of *slot* back."""
        self._limiter.release_on_behalf_of(slot)

    async def _wait(self, slot: Slot) -> bool:
        with trio.CancelScope() as scope:
            self._waiting.add(scope)
            self._give_up_if_hopeless()
            try:
                await self._limiter.acquire_on_behalf_of(slot)
            finally:
                self._waiting.discard(scope)
        return not scope.cancelled_caught

    def _give_up_if_hopeless(self) -> None:
        if self._closing and not self.is_open:
            for scope in self._waiting:
                scope.cancel()


@final
class Slot:
    """One request's place among those that may run at once."""

    __slots__ = ("_admission", "is_taken")

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.is_taken = False
        """Whether `take` was successful, and `release` not called yet."""

    async def take(self) -> bool:
        """Wait for the slot. A checkpoint only if there is something to wait for.

        Returns:
            Whether it was taken. False once the server is closing with a limit of 0.

        Cancellation:
            The slot is not taken.
        """
        self.is_taken = await self._admission.acquire(self)
        return self.is_taken

    def release(self) -> None:
        """Give the slot back, if it was taken."""
        if self.is_taken:
            self.is_taken = False
            self._admission.release(self)

    @property
    def is_over_limit(self) -> bool:
        """Whether the limit was lowered below what is taken now."""
        return self._admission.is_over
