"""Requests that share tasks: each is as if it had one of its own."""

from __future__ import annotations

import contextlib
import gc
import sys
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from types import coroutine

import pytest
import trio
import trio.testing

from kit.serving import STUCK
from trioserver import BaseServer, StreamRequestHandler
from trioserver._engine import task_pool
from trioserver._engine.admission import Admission
from trioserver._engine.requests_in_flight import RequestsInFlight
from trioserver._engine.task_pool import MAX_PARKED

Work = Callable[[], Awaitable[object]]

colour: ContextVar[str] = ContextVar("colour", default="none")


class Worker(BaseServer):
    """Its requests are what they do."""

    def __init__(self) -> None:
        super().__init__("nowhere", StreamRequestHandler)
        self.errors: list[BaseException | None] = []

    async def process_request(self, request: Work, _client_address: object) -> None:
        await request()

    async def handle_error(self, _request: object, _client_address: object) -> None:
        self.errors.append(sys.exception())


class Requests:
    """Starts requests, and knows which tasks they have run in."""

    def __init__(self, *, are_short: bool) -> None:
        self.server = Worker()
        self.in_flight = RequestsInFlight(
            self.server, lambda: None, lambda: None, are_short=are_short
        )
        self.tasks: list[trio.lowlevel.Task] = []

    def start(self, *works: Work) -> None:
        for work in works:

            async def noting(work: Work = work) -> None:
                self.tasks.append(trio.lowlevel.current_task())
                await work()

            self.in_flight.start(noting, None, Admission(1).slot())

    async def run(self, *works: Work) -> None:
        """Start them at the same time, and let them run until they wait or end."""
        self.start(*works)
        await trio.testing.wait_all_tasks_blocked()

    @property
    def children(self) -> int:
        """How many tasks there are."""
        nursery = self.tasks[-1].parent_nursery
        assert nursery is not None
        return len(nursery.child_tasks)


@asynccontextmanager
async def requests(*, are_short: bool) -> AsyncIterator[Requests]:
    with trio.fail_after(STUCK):
        made = Requests(are_short=are_short)
        async with made.in_flight.open():
            yield made


both_kinds = pytest.mark.parametrize("are_short", [False, True])


async def nothing() -> None:
    """Do nothing, and wait for nothing."""


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


# Several in one step


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
