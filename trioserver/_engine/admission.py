"""How many requests may run at once."""

from __future__ import annotations

from typing import final

import trio


@final
class Admission:
    """The slots of a server: one for each request that may run at once.

    The limit may change at any time. Raising it admits those who wait; lowering it
    interrupts nobody, and admits nobody until enough have finished.

    As fair as a `trio.CapacityLimiter`, of which it is the part that is needed here: to
    take a slot and to give it back took 27 calls with that, and takes 5 with this.
    """

    __slots__ = ("_is_closing", "limit", "taken", "waiting")

    def __init__(self, limit: float) -> None:
        """Allow *limit* requests at once: a whole number, or `math.inf`."""
        self.limit = limit
        """How many requests may run at once; see `set_limit`."""
        self.taken = 0
        """How many slots are taken."""
        self.waiting: dict[Slot, trio.lowlevel.Task] = {}
        """Who waits, the first one first."""
        self._is_closing = False

    def set_limit(self, limit: float) -> None:
        """Allow *limit* requests at once from now on."""
        self.limit = limit
        self.admit()
        self._give_up_if_hopeless()

    def close(self) -> None:
        """Let nobody wait in vain: the limit may be 0, and nobody will raise it."""
        self._is_closing = True
        self._give_up_if_hopeless()

    @property
    def is_open(self) -> bool:
        """Whether the limit lets anybody in at all."""
        return self.limit > 0

    @property
    def is_full(self) -> bool:
        """Whether every slot is taken."""
        return self.taken >= self.limit

    def slot(self) -> Slot:
        """Return a slot that is not taken yet."""
        return Slot(self)

    # For slots

    def admit(self) -> None:
        """Let in as many of those who wait as there is room for.

        The slot is theirs from now on: a cancellation that comes later finds them
        scheduled, and strikes at their next checkpoint.
        """
        while self.waiting and self.taken < self.limit:
            self.taken += 1
            self._wake(next(iter(self.waiting)), is_taken=True)

    async def wait(self, slot: Slot) -> None:
        """Wait until *slot* is taken, or it never can be."""

        def give_up(_: object) -> trio.lowlevel.Abort:
            del self.waiting[slot]
            return trio.lowlevel.Abort.SUCCEEDED

        if self._is_hopeless:
            await trio.lowlevel.checkpoint()
        else:
            self.waiting[slot] = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(give_up)

    @property
    def _is_hopeless(self) -> bool:
        return self._is_closing and not self.is_open

    def _give_up_if_hopeless(self) -> None:
        if self._is_hopeless:
            for slot in list(self.waiting):
                self._wake(slot, is_taken=False)

    def _wake(self, slot: Slot, *, is_taken: bool) -> None:
        slot.is_taken = is_taken
        trio.lowlevel.reschedule(self.waiting.pop(slot))


@final
class Slot:
    """One request's place among those that may run at once."""

    __slots__ = ("_admission", "is_taken")

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.is_taken = False
        """Whether it was taken, and `release` not called yet."""

    def take_nowait(self) -> bool:
        """Take the slot, if it is there to be taken. Return whether it was."""
        admission = self._admission
        if admission.taken < admission.limit:
            admission.taken += 1  # nobody waits while one is free
            self.is_taken = True
        return self.is_taken

    async def take(self) -> bool:
        """Wait for the slot. A checkpoint only if there is something to wait for.

        Returns:
            Whether it was taken. False once the server is closing with a limit of 0.

        Cancellation:
            The slot is not taken.
        """
        if not self.take_nowait():
            await self._admission.wait(self)
        return self.is_taken

    def release(self) -> None:
        """Give the slot back, if it was taken."""
        if self.is_taken:
            self.is_taken = False
            self._admission.taken -= 1
            if self._admission.waiting:
                self._admission.admit()

    @property
    def is_over_limit(self) -> bool:
        """Whether the limit was lowered below what is taken now."""
        admission = self._admission
        return admission.taken > admission.limit
