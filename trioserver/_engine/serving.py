"""Serving, and the end of it: one accept loop at a time, and who may stop it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import final

import trio

from trioserver._engine.lifecycle import Move, State, next_state


@final
class Serving:
    """Whether a server is accepting requests, and how that ends.

    The states are those of `lifecycle`; here is what waits and what is cancelled.
    """

    __slots__ = ("_ended", "_scope", "has_served", "state")

    def __init__(self) -> None:
        self.state = State.NEW
        self.has_served = False
        """Whether clients could have seen this server accept."""
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        self._ended.set()

    def check_can_serve(self) -> None:
        """Raise what `run` would raise, if it would refuse."""
        next_state(self.state, Move.SERVE)

    async def run(
        self, accept: Callable[[], Awaitable[None]], started: Callable[[], None]
    ) -> None:
        """Run *accept* until it returns, `stop` is called or the server is closed.

        Returns at once, once, after a `stop` that came before the first run.

        Args:
            accept: The accept loop.
            started: Called when it is about to begin.

        Raises:
            AlreadyServingError: If another run has not ended.
            ServerClosedError: After `close`.
        """
        self._move(Move.SERVE)
        self.has_served = True
        if self.state is not State.SERVING:
            started()
            await trio.lowlevel.checkpoint()
            return
        self._ended = trio.Event()
        try:
            with trio.CancelScope() as self._scope:
                started()
                # If whoever called nursery.start() was cancelled meanwhile, started()
                # did nothing (trio #2895), and this is where we learn of it.
                await trio.lowlevel.checkpoint_if_cancelled()
                await accept()
        except trio.ClosedResourceError:
            # Closing the socket in the midst of it ends the loop as shutdown() does.
            if not self._scope.cancel_called:
                raise
        finally:
            self._move(Move.END)
            self._ended.set()

    def request_stop(self) -> None:
        """Ask the accept loop to end, without waiting for it."""
        self._move(Move.SHUTDOWN)
        self._scope.cancel()

    async def stop(self) -> None:
        """End the accept loop, and return when it has ended."""
        self.request_stop()
        await self._ended.wait()

    def close(self) -> None:
        """Never serve again."""
        self._move(Move.CLOSE)
        self._scope.cancel()

    def _move(self, move: Move) -> None:
        self.state = next_state(self.state, move)
