"""Slots against a model: whoever comes first is first, and none is ever lost."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import attrs
import trio
import trio.testing
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kit.moments import EXAMPLES
from trioserver._engine.admission import Admission, Slot

LIMITS = st.sampled_from([0, 1, 2, 3, math.inf])
FEW = st.integers(0, 4)


@attrs.define
class Model:
    """What is true of the slots, without tasks."""

    limit: float
    holders: list[int] = attrs.field(factory=list)
    queue: list[int] = attrs.field(factory=list)
    refused: list[int] = attrs.field(factory=list)
    is_closing: bool = False

    def want(self, name: int) -> None:
        self.queue.append(name)
        self._settle()

    def release(self, name: int) -> None:
        self.holders.remove(name)
        self._settle()

    def cancel(self, index: int) -> int:
        return self.queue.pop(index % len(self.queue))

    def set_limit(self, limit: float) -> None:
        self.limit = limit
        self._settle()

    def close(self) -> None:
        self.is_closing = True
        self._settle()

    def _settle(self) -> None:
        while self.queue and len(self.holders) < self.limit:
            self.holders.append(self.queue.pop(0))
        if self.is_closing and self.limit == 0:
            self.refused += self.queue
            self.queue.clear()


@attrs.define
class Play:
    """The model, and tasks that do the same with real slots."""

    nursery: trio.Nursery
    model: Model
    admission: Admission
    slots: list[Slot] = attrs.field(factory=list)
    scopes: list[trio.CancelScope] = attrs.field(factory=list)
    taken: list[int] = attrs.field(factory=list)
    refused: list[int] = attrs.field(factory=list)

    async def want(self, _: object) -> None:
        # What was done just before, others have to notice first.
        await trio.testing.wait_all_tasks_blocked()
        self.model.want(len(self.slots))
        self.nursery.start_soon(self._take, len(self.slots))
        self.slots.append(self.admission.slot())
        self.scopes.append(trio.CancelScope())
        await trio.testing.wait_all_tasks_blocked()

    async def release(self, index: int) -> None:
        # Only who knows that it has a slot can give it back.
        holders = [name for name in self.model.holders if name in self.taken]
        if holders:
            name = holders[index % len(holders)]
            self.model.release(name)
            self.slots[name].release()

    async def cancel(self, index: int) -> None:
        if self.model.queue:
            self.scopes[self.model.cancel(index)].cancel()

    async def cancel_too_late(self, index: int) -> None:
        if self.model.holders:
            name = self.model.holders[index % len(self.model.holders)]
            self.scopes[name].cancel()

    async def set_limit(self, limit: float) -> None:
        self.model.set_limit(limit)
        self.admission.set_limit(limit)

    async def close(self, _: object) -> None:
        self.model.close()
        self.admission.close()

    async def look(self, _: object = None) -> None:
        await trio.testing.wait_all_tasks_blocked()
        count, limit = len(self.model.holders), self.model.limit
        assert [n for n, slot in enumerate(self.slots) if slot.is_taken] == sorted(
            self.model.holders
        )
        assert self.refused == self.model.refused
        assert self.admission.is_open == (limit > 0)
        assert self.admission.is_full == (count >= limit)
        assert self.admission.slot().is_over_limit == (count > limit)

    async def _take(self, name: int) -> None:
        with self.scopes[name]:
            is_taken = await self.slots[name].take()
            (self.taken if is_taken else self.refused).append(name)


# What is done, and with which argument.
Act = Callable[[Play, object], Awaitable[None]]
Step = tuple[Act, object]

STEPS = st.one_of(
    st.tuples(st.just(Play.want), st.none()),
    st.tuples(st.just(Play.release), FEW),
    st.tuples(st.just(Play.cancel), FEW),
    st.tuples(st.just(Play.cancel_too_late), FEW),
    st.tuples(st.just(Play.set_limit), LIMITS),
    st.tuples(st.just(Play.close), st.none()),
    st.tuples(st.just(Play.look), st.none()),
)


@example(0, [(Play.want, None), (Play.want, None), (Play.cancel, 0), (Play.look, None)])
@settings(max_examples=EXAMPLES, deadline=None)
@given(limit=LIMITS, steps=st.lists(STEPS, max_size=30))
def test_slots_go_to_whoever_came_first(limit: float, steps: list[Step]) -> None:
    trio.run(play, limit, steps)


async def play(limit: float, steps: list[Step]) -> None:
    async with trio.open_nursery() as nursery:
        game = Play(nursery, Model(limit), Admission(limit))
        for step, argument in steps:
            await step(game, argument)
        await game.look()
        nursery.cancel_scope.cancel()


async def test_two_who_wait_are_let_in_in_turn() -> None:
    admission = Admission(0)
    order: list[int] = []

    async def take(name: int) -> None:
        await admission.slot().take()
        order.append(name)

    async with trio.open_nursery() as nursery:
        for name in range(3):
            nursery.start_soon(take, name)
            await trio.testing.wait_all_tasks_blocked()
        for limit in (1, 2, 3):
            admission.set_limit(limit)
            await trio.testing.wait_all_tasks_blocked()

    assert order == [0, 1, 2]


async def test_who_comes_when_it_is_hopeless_is_told_so() -> None:
    admission = Admission(0)
    admission.close()

    with trio.testing.assert_checkpoints():
        assert not await admission.slot().take()


async def test_a_cancelled_wait_takes_no_slot() -> None:
    admission = Admission(1)
    first, second = admission.slot(), admission.slot()
    await first.take()

    with trio.move_on_after(0) as scope:
        await second.take()
    first.release()

    assert scope.cancelled_caught
    assert not admission.is_full
    second.release()
    assert not admission.is_full
