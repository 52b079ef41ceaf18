"""Requests that use tasks again: each is as if it had one of its own."""

from __future__ import annotations

import contextlib
import gc
import sys
import weakref
from collections.abc import AsyncGenerator, Generator
from contextvars import Context, ContextVar
from types import coroutine

import pytest
import trio
import trio.testing

from kit.serving import STUCK
from trioserver._engine import task_pool
from trioserver._engine.requests_in_flight import RequestsInFlight
from trioserver._engine.task_pool import MAX_PARKED, TaskPool
from unit.engine.pooled import Requests, nothing, requests

colour: ContextVar[str] = ContextVar("colour", default="none")


async def run_nothing(_work: None) -> None:
    """Run no work: none is started."""


both_kinds = pytest.mark.parametrize("are_short", [False, True])


@both_kinds
async def test_a_request_runs_in_the_task_of_one_before(are_short: bool) -> None:
    async with requests(are_short=are_short) as made:
        await made.run(nothing)
        await made.run(trio.lowlevel.checkpoint)
        await made.run(nothing)

    assert len(made.tasks) == 3
    assert len(set(made.tasks)) == 1


@both_kinds
async def test_each_has_a_context_of_its_own(are_short: bool) -> None:
    seen: list[object] = []

    async def paint() -> None:
        task = trio.lowlevel.current_task()
        seen.append((colour.get(), task.context.get(colour)))
        colour.set("red")
        await trio.lowlevel.checkpoint()
        seen.append((colour.get(), task.context.get(colour)))

    async def look() -> None:
        seen.append((colour.get(), trio.lowlevel.current_task().context.get(colour)))
        colour.set("green")

    colour.set("blue")
    async with requests(are_short=are_short) as made:
        for work in (look, look, paint, look):
            await made.run(work)
        await made.run(look, look, look)

    blue, red = ("blue", "blue"), ("red", "red")
    assert seen == [blue, blue, blue, red, blue, blue, blue, blue]
    assert colour.get() == "blue"


@both_kinds
async def test_each_has_the_name_of_a_new_task(are_short: bool) -> None:
    names: list[str] = []

    async def rename() -> None:
        task = trio.lowlevel.current_task()
        names.append(task.name)
        task.name = "mine"

    async with requests(are_short=are_short) as made:
        await made.run(rename)
        await made.run(rename)
        await made.run(rename, rename)

    run = RequestsInFlight._run_short if are_short else RequestsInFlight._run
    assert names == [f"{run.__module__}.{run.__qualname__}"] * 4


@both_kinds
async def test_no_exception_is_left_over(are_short: bool) -> None:
    seen: list[object] = []

    async def handle_one() -> None:
        seen.append(sys.exc_info())
        with contextlib.suppress(LookupError):
            await fail()

    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise LookupError

    async with requests(are_short=are_short) as made:
        await made.run(handle_one)
        await made.run(handle_one)

    assert len(set(made.tasks)) == 1
    assert seen == [(None, None, None)] * 2


@both_kinds
async def test_a_scope_that_was_left_open_strikes_nobody_else(are_short: bool) -> None:
    scopes: list[trio.CancelScope] = []
    done: list[str] = []

    async def ticks() -> AsyncGenerator[None]:
        with trio.CancelScope() as scope:
            scopes.append(scope)
            yield

    async def leave_open() -> None:
        generators.append(ticks())
        await anext(generators[-1])

    async def go_on() -> None:
        for scope in scopes:
            scope.cancel()
        await trio.lowlevel.checkpoint()
        done.append("went on")

    generators: list[AsyncGenerator[None]] = []
    async with requests(are_short=are_short) as made:
        await made.run(leave_open)
        await made.run(go_on)
        await made.run(leave_open, go_on)
        assert done == ["went on"] * 2
        assert made.tasks[0] is not made.tasks[1]
        assert made.tasks[2] is not made.tasks[3]
    for generator in generators:
        await generator.aclose()


@both_kinds
async def test_whoever_waits_for_a_lock_learns_that_its_owner_is_gone(
    are_short: bool,
) -> None:
    lock = trio.Lock()
    async with requests(are_short=are_short) as made:
        await made.run(lock.acquire)
        await made.run(nothing)

        assert made.tasks[0] is not made.tasks[1]
        with pytest.raises(trio.BrokenResourceError):
            await lock.acquire()


@both_kinds
async def test_a_task_in_which_something_failed_is_not_used_again(
    are_short: bool,
) -> None:
    async def fail() -> None:
        raise LookupError

    async with requests(are_short=are_short) as made:
        await made.run(fail)
        await made.run(nothing)
        await made.run(nothing)

    assert isinstance(made.server.errors[0], LookupError)
    assert made.tasks[0] is not made.tasks[1]
    assert made.tasks[1] is made.tasks[2]


@both_kinds
async def test_not_too_many_wait_for_requests(are_short: bool) -> None:
    gate = trio.Event()
    async with requests(are_short=are_short) as made:
        await made.run(*[gate.wait] * (MAX_PARKED + 5))
        assert made.children == len(set(made.tasks)) == MAX_PARKED + 5

        gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert made.children == MAX_PARKED


@both_kinds
async def test_none_waits_for_requests_after_the_end(are_short: bool) -> None:
    gate = trio.Event()
    made = Requests(are_short=are_short)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            async with made.in_flight.open(nursery):
                await made.run(nothing, gate.wait, gate.wait)
            await trio.testing.wait_all_tasks_blocked()
            assert made.children == 2

            gate.set()
        assert len(made.tasks) == 3


@both_kinds
async def test_those_that_wait_for_requests_can_be_cancelled(are_short: bool) -> None:
    async with requests(are_short=are_short) as made:
        await made.run(nothing, trio.lowlevel.checkpoint, nothing)
        made.in_flight.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert made.children == 0


@both_kinds
async def test_a_task_that_waits_keeps_nothing_alive(are_short: bool) -> None:
    class Something:
        """Can be referred to weakly."""

    thing: ContextVar[Something] = ContextVar("thing")
    left: list[weakref.ref[Something]] = []

    async def hold(argument: Something | None = None) -> None:
        argument = Something()
        thing.set(argument)
        left.append(weakref.ref(argument))
        await trio.lowlevel.checkpoint()

    async with requests(are_short=are_short) as made:
        await made.run(hold)
        await made.run(hold, nothing)
        made.server.errors.clear()
        gc.collect()
        assert [reference() for reference in left] == [None, None]


@both_kinds
async def test_a_task_is_spawned_once_for_requests_in_turn(are_short: bool) -> None:
    class Spawned(trio.abc.Instrument):
        def __init__(self) -> None:
            self.count = 0

        def task_spawned(self, _task: trio.lowlevel.Task) -> None:
            self.count += 1

    async with requests(are_short=are_short) as made:
        spawned = Spawned()
        trio.lowlevel.add_instrument(spawned)
        for _ in range(3):
            await made.run(nothing)
        trio.lowlevel.remove_instrument(spawned)

    assert spawned.count == 1


@both_kinds
async def test_without_a_look_into_trio_no_task_is_used_again(
    are_short: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_pool, "_owners", None)
    async with requests(are_short=are_short) as made:
        await made.run(nothing)
        await made.run(nothing, nothing, nothing)

    assert len(set(made.tasks)) == 4


@both_kinds
async def test_what_is_not_trios_is_refused_where_it_was_awaited(
    are_short: bool,
) -> None:
    @coroutine
    def foreign() -> object:
        yield "what asyncio would say"

    async def go_astray() -> None:
        await foreign()

    async with requests(are_short=are_short) as made:
        await made.run(go_astray)

    assert isinstance(made.server.errors[0], TypeError)


@both_kinds
async def test_whoever_looks_for_a_stuck_task_sees_where_it_waits(
    are_short: bool,
) -> None:
    async def get_stuck() -> None:
        await trio.sleep_forever()

    async with requests(are_short=are_short) as made:
        await made.run(get_stuck)

        frames = [frame.f_code for frame, _ in made.tasks[0].iter_await_frames()]
        assert get_stuck.__code__ in frames
        made.in_flight.cancel()


async def test_work_that_is_thrown_away_while_it_waits_is_closed() -> None:
    ended: list[str] = []

    @coroutine
    def wait() -> Generator[str, None, bool]:
        return bool((yield "something"))

    async def work() -> bool:
        try:
            return await wait()
        finally:
            ended.append("closed")

    task = trio.lowlevel.current_task()
    own = task.context
    async with trio.open_nursery() as nursery:
        pool: TaskPool[None] = TaskPool(nursery, Context(), run_nothing)
        waiting = pool.begin(work(), Context(), task)
        assert waiting.send(None) == "something"
        waiting.close()
    task.context = own

    assert ended == ["closed"]
