"""A Trio run in a forked child."""

from __future__ import annotations

import signal
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from types import FrameType
from typing import final

import trio


class TerminatedError(BaseException):
    """Somebody has sent SIGTERM."""


@final
class ChildRun:
    """Runs an asynchronous function with Trio, and cancels it on a signal.

    In a thread of its own: the one that forked is in the middle of its parent's run,
    which it will never go back to, and Trio refuses a second one there. Python gives
    signals to that one, and so it waits for them.
    """

    __slots__ = ("_ended", "_error", "_function", "_is_cancelled", "_scope", "_token")

    def __init__(self, function: Callable[[], Awaitable[object]]) -> None:
        self._function = function
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._is_cancelled = False
        self._scope = trio.CancelScope()
        self._token: trio.lowlevel.TrioToken | None = None

    def run(self) -> None:
        """Run the function to its end.

        Raises:
            TerminatedError: After a SIGTERM, which has cancelled it.
            KeyboardInterrupt: After a SIGINT, likewise.
            BaseException: What the function raises.
        """
        signal.signal(signal.SIGTERM, _raise_terminated)
        # The context of the request, as its task in the parent has it.
        target = copy_context().run
        threading.Thread(target=target, args=(self._run_in_thread,)).start()
        interrupt = self._wait_ended()
        if interrupt is not None:
            raise interrupt
        if self._error is not None:
            raise self._error

    def _wait_ended(self) -> BaseException | None:
        """Wait for the end. Return the first signal that came meanwhile."""
        interrupt: BaseException | None = None
        while not self._ended.is_set():
            try:
                self._ended.wait()
            except (KeyboardInterrupt, TerminatedError) as error:
                interrupt = interrupt or error
                self._cancel()
        return interrupt

    def _cancel(self) -> None:
        self._is_cancelled = True
        if self._token is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._scope.cancel)

    def _run_in_thread(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:  # it is raised in the other thread
            self._error = error
        finally:
            self._ended.set()

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        if self._is_cancelled:
            self._scope.cancel()
        with self._scope:
            await self._function()


def _raise_terminated(_number: int, _frame: FrameType | None) -> None:
    raise TerminatedError
