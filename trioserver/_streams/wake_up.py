"""Wait and be woken over and over, at less cost than as if each time were the first.

Of what an echo costs, two fifths were Trio's part of it: 25 300 instructions for a task
to wait, to be woken and to run (trio 0.35, Python 3.13). With what is here, 14 300.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final, Protocol, cast, final

import trio

Abort = Callable[[object], trio.lowlevel.Abort]


@final
class _Woken:
    """What a task is told that learns nothing by being woken.

    `trio.lowlevel.reschedule` takes an ``outcome.Outcome``, and unwraps it in the task
    that was waiting. By default it makes an ``outcome.Value`` each time, since that one
    refuses to be unwrapped twice. Nothing stops this one from being used by all.
    """

    __slots__ = ()

    def unwrap(self) -> None:
        """Return what there is to tell."""


# Trio asks for an outcome.Outcome, and does nothing but unwrap it.
WOKEN: Final[Any] = _Woken()  # type: ignore[explicit-any]  # see above
"""Give it to `trio.lowlevel.reschedule` for a task that waits for no value."""


@final
class _Again:
    """Waits as `trio.lowlevel.wait_task_rescheduled` does, any number of times.

    That one is a coroutine around a generator around a message to the scheduler, which
    says how to abort the wait. Here is one message for all times, in a generator.
    """

    __slots__ = ("_message",)

    def __init__(self, message: object) -> None:
        self._message = message

    def __await__(self) -> Generator[object, _Woken, None]:
        """Wait until somebody reschedules the task."""
        (yield self._message).unwrap()


@final
class _Anew:
    """Waits by `trio.lowlevel.wait_task_rescheduled` itself."""

    __slots__ = ("_abort",)

    def __init__(self, abort: Abort) -> None:
        self._abort = abort

    def __await__(self) -> Generator[object, None, None]:
        """Wait until somebody reschedules the task."""
        return self._wait().__await__()

    async def _wait(self) -> None:
        await trio.lowlevel.wait_task_rescheduled(self._abort)


# Any function that could abort a wait; it is never called.
_abort_nothing: Final[Abort] = trio.lowlevel.Abort


class Trap(Protocol):
    """A coroutine that waits for the scheduler."""

    def send(self, value: None, /) -> object:
        """Go on, up to the next message to the scheduler."""
        ...

    def close(self) -> None:
        """End it."""


def message_class(
    wait_rescheduled: Callable[[Abort], Trap],
) -> Callable[[Abort], object] | None:
    """Return what *wait_rescheduled* says to the scheduler, as a class.

    It is not documented, and so looked at: there must be nothing but the function in
    it, and what the scheduler answers must be unwrapped.

    Returns:
        None if this is not so, or cannot be seen.
    """
    wait = wait_rescheduled(_abort_nothing)
    try:
        message = wait.send(None)
        kind = cast("Callable[[Abort], object]", type(message))
        is_known = bool(kind(_abort_nothing) == message) and _can_be_woken(wait)
    except Exception:  # whatever it says: it is another Trio
        return None
    finally:
        wait.close()
    return kind if is_known else None


def _can_be_woken(wait: Trap) -> bool:
    """Whether *wait* takes what a task is told here."""
    try:
        wait.send(WOKEN)
    except StopIteration:
        return True
    return False


_Message: Final = message_class(trio.lowlevel.wait_task_rescheduled)


def repeated_wait(abort: Abort) -> Awaitable[None]:
    """Return what can be awaited whenever the running task shall wait.

    Like `trio.lowlevel.wait_task_rescheduled`, but for any number of waits, one after
    the other, and it returns nothing.

    Args:
        abort: Called when a wait is cancelled.
    """
    return _Anew(abort) if _Message is None else _Again(_Message(abort))
