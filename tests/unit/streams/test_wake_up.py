"""Waits that are used again: they wait, are woken and are cancelled as Trio's own."""

from __future__ import annotations

from collections.abc import Callable

import outcome
import pytest
import trio
import trio.testing

from trioserver._streams import wake_up
from trioserver._streams.wake_up import Abort, message_class, repeated_wait

ROUNDS = 3


@pytest.fixture(params=["known", "unknown"], autouse=True)
def messages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what Trio's scheduler is told be known, and then not."""
    if request.param == "unknown":
        monkeypatch.setattr(wake_up, "_Message", None)


class Waiter:
    """A task that waits, again and again, and counts how often it was woken."""

    def __init__(self) -> None:
        self.task: trio.lowlevel.Task | None = None
        self.woken = 0
        self.aborted = 0

    def abort(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self.aborted += 1
        return trio.lowlevel.Abort.SUCCEEDED

    async def run(self) -> None:
        self.task = trio.lowlevel.current_task()
        wait = repeated_wait(self.abort)
        while True:
            await wait
            self.woken += 1


async def test_a_task_can_be_woken_any_number_of_times() -> None:
    waiter = Waiter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiter.run)
        for _ in range(ROUNDS):
            await trio.testing.wait_all_tasks_blocked()
            assert waiter.task is not None
            trio.lowlevel.reschedule(waiter.task, wake_up.WOKEN)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert (waiter.woken, waiter.aborted) == (ROUNDS, 1)


async def test_an_error_is_raised_where_the_task_waits() -> None:
    waiter = Waiter()
    with pytest.RaisesGroup(pytest.RaisesExc(LookupError, match="nobody")):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waiter.run)
            await trio.testing.wait_all_tasks_blocked()
            assert waiter.task is not None
            error = outcome.Error(LookupError("nobody"))
            trio.lowlevel.reschedule(waiter.task, error)


async def test_a_wait_in_a_cancelled_task_ends_at_once() -> None:
    waiter = Waiter()
    with trio.move_on_after(0) as scope:
        await waiter.run()

    assert scope.cancelled_caught
    assert (waiter.woken, waiter.aborted) == (0, 1)


def test_the_message_of_this_trio_is_known() -> None:
    assert message_class(trio.lowlevel.wait_task_rescheduled) is not None


class Message:
    """Says who aborts a wait, and is equal to no other."""

    def __init__(self, abort: Abort) -> None:
        self.abort = abort


class Numbered:
    """Says something else, too."""

    def __init__(self, abort: Abort, number: int) -> None:
        self.abort = abort
        self.number = number


class Equal(Message):
    """Is equal to another one that says the same."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equal) and other.abort == self.abort

    __hash__ = None  # type: ignore[assignment]  # as for any class with an __eq__


class Trap:
    """Stands in for a wait of another Trio."""

    def __init__(self, message: object) -> None:
        self.answers: list[object] = []
        self._message = message

    def send(self, answer: object) -> object:
        self.answers.append(answer)
        return self._message

    def close(self) -> None:
        self.answers.append("closed")


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(Message, id="one of a kind"),
        pytest.param(lambda abort: Numbered(abort, 1), id="one that says more"),
        pytest.param(Equal, id="one that is not answered"),
    ],
)
def test_another_message_is_not_used_again(
    message: Callable[[Abort], object],
) -> None:
    traps: list[Trap] = []

    def wait(abort: Abort) -> Trap:
        traps.append(Trap(message(abort)))
        return traps[0]

    assert message_class(wait) is None
    assert traps[0].answers[-1] == "closed"
