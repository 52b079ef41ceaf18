"""Serving, and the end of it: one accept loop at a time, and who may stop it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import final

import trio

from trioserver._engine.lifecycle import Move, State, next_state


@final
class Cycle:
    """One run of the accept loop, from the decision to serve to its end."""

    __slots__ = ("_ended", "_scope", "_serving", "_token", "is_stopped")

    def __init__(self, serving: Serving) -> None:
        self.is_stopped = False
        """Whether somebody has asked for the end."""
        self._serving = serving
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        self._token = trio.lowlevel.current_trio_token()

    async def run(
        self, accept: Callable[[], Awaitable[None]], started: Callable[[], None]
    ) -> None:
        """Run *accept* until it returns, or the cycle is stopped.

        Args:
            accept: The accept loop.
            started: Called when it is about to begin.
        """
        started()
        # If whoever called nursery.start() was cancelled meanwhile, started() did
        # nothing (trio #2895), and this is where we learn of it.
        await trio.lowlevel.checkpoint()
        try:
            await self.until_stopped(accept)
        except trio.ClosedResourceError:
            # Closing the socket in the midst of it ends the loop as shutdown() does.
            if not self.is_stopped:
                raise
        finally:
            self.end()

    async def until_stopped(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Run *wait*, at most until the cycle is stopped."""
        with trio.CancelScope() as self._scope:
            if self.is_stopped:
                return
            await wait()

    def stop(self) -> None:
        """Ask for the end."""
        self.is_stopped = True
        self._scope.cancel()

    def check_run(self) -> None:
        """Refuse a caller from another `trio.run`, who would wait for ever.

        Raises:
            RuntimeError: With the way to do it.
        """
        if trio.lowlevel.current_trio_token() is not self._token:
            message = (
                "this server is serving in another trio.run(); from another thread, "
                "trio.from_thread.run(server.shutdown, trio_token=token)"
            )
            raise RuntimeError(message)

    async def wait_ended(self) -> None:
        """Wait until the accept loop has ended."""
        await self._ended.wait()

    def end(self) -> None:
        """Note that the accept loop has ended, or will never begin."""
        if not self._ended.is_set():
            self._ended.set()
            self._serving.note_end()


@final
class Serving:
    """Whether a server is accepting requests, and how that ends.

    The states are those of `lifecycle`; here is what waits and what is cancelled.
    """

    __slots__ = ("_cycle", "has_served", "state")

    def __init__(self) -> None:
        self.state = State.NEW
        self.has_served = False
        """Whether clients could have seen this server accept."""
        self._cycle: Cycle | None = None

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self.state is State.CLOSED

    def check_can_serve(self) -> None:
        """Raise what `cycle` would raise, if it would refuse."""
        next_state(self.state, Move.SERVE)

    @contextmanager
    @trio.lowlevel.enable_ki_protection
    def cycle(self) -> Generator[Cycle]:
        """Serve while the block runs.

        The cycle is stopped already if a `stop` came before the first one.

        Raises:
            AlreadyServingError: If another cycle has not ended.
            ServerClosedError: After `close`.
        """
        is_early = self.state is State.SHUT_DOWN_EARLY
        self._move(Move.SERVE)
        self.has_served = True
        cycle = self._cycle = Cycle(self)
        if is_early:
            cycle.stop()
        try:
            yield cycle
        finally:
            cycle.end()

    def cancel(self) -> None:
        """End the accept loop that runs, if one does."""
        if self._cycle is not None:
            self._cycle.stop()

    def request_stop(self) -> None:
        """Ask the accept loop to end, or the first one to end at once."""
        self._move(Move.SHUTDOWN)
        self.cancel()

    async def stop(self) -> None:
        """End the accept loop, and return when it has ended.

        Before the first one, let that one end at once.
        """
        if self._cycle is not None:
            self._cycle.check_run()
        self.request_stop()
        if self._cycle is not None:
            await self._cycle.wait_ended()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Never serve again."""
        self._move(Move.CLOSE)
        self.cancel()

    def note_end(self) -> None:
        """Note that the cycle has ended."""
        self._move(Move.END)
        self._cycle = None

    def _move(self, move: Move) -> None:
        self.state = next_state(self.state, move)
