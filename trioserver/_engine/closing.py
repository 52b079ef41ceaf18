"""Close a server once, whoever asks for it and however often."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import final

import trio


@final
class Closing:
    """Lets one task close the server, while others wait for it."""

    __slots__ = ("_close", "_lock")

    def __init__(self, close: Callable[[], None]) -> None:
        """Close the server with *close*, which waits for nothing."""
        self._close = close
        self._lock = trio.Lock()

    @asynccontextmanager
    @trio.lowlevel.enable_ki_protection
    async def alone(self) -> AsyncGenerator[bool]:
        """Close at the end of the block, whatever happens in it.

        Yields:
            Whether this task does the closing. If another one does, this one has
            waited for it, and has nothing to do.

        Cancellation:
            The server is closed, or another task goes on closing it.
        """
        try:
            # No checkpoint, so that a cancelled task closes the server all the same.
            self._lock.acquire_nowait()
        except trio.WouldBlock:
            async with self._lock:
                yield False
            return
        try:
            yield True
        finally:
            self._close()
            self._lock.release()
