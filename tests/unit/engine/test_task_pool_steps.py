"""Requests that share a step of a task, and stop doing so when one of them waits."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from kit.serving import STUCK
from unit.engine.pooled import Requests, Work, nothing, requests


async def test_short_requests_share_a_step() -> None:
    async with requests(are_short=True) as made:
        await made.run(nothing)  # it was quick, so that others may wait for it
        await made.run(*[nothing] * 5)
        assert made.children == 1

    assert len(made.tasks) == 6


async def test_they_run_in_their_order() -> None:
    order: list[int] = []

    def note(number: int) -> Work:
        async def work() -> None:
            order.append(number)

        return work

    async with requests(are_short=True) as made:
        await made.run(nothing)
        await made.run(*map(note, range(10)))

    assert order == list(range(10))


@pytest.mark.parametrize("place", range(4))
async def test_one_that_waits_keeps_nobody_waiting(place: int) -> None:
    gate = trio.Event()
    works: list[Work] = [nothing] * 4
    works[place] = gate.wait
    async with requests(are_short=True) as made:
        await made.run(nothing)
        await made.run(*works)
        assert len(made.tasks) == 5
        assert len(made.in_flight) == 1
        gate.set()


@pytest.mark.parametrize("error", [LookupError, KeyboardInterrupt])
async def test_one_that_fails_leaves_its_task_and_the_others_go_on(
    error: type[BaseException],
) -> None:
    async def fail() -> None:
        raise error

    made = Requests(are_short=True)
    with trio.fail_after(STUCK):
        try:
            async with made.in_flight.open():
                await made.run(nothing)
                made.start(nothing, fail, nothing, nothing)
                await trio.testing.wait_all_tasks_blocked()
        except KeyboardInterrupt:
            assert error is KeyboardInterrupt

    assert len(made.tasks) == 5
    assert len(made.in_flight) == 0


async def test_requests_that_waited_together_start_in_one_pass() -> None:
    """Once one had to wait, the next ones are woken one by one."""
    gate = trio.Event()
    async with requests(are_short=True) as made:
        await made.run(nothing)
        await made.run(gate.wait, gate.wait)
        made.start(gate.wait, gate.wait, gate.wait)
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        assert len(made.tasks) == 6
        gate.set()
