"""Where requests wait until the scenario lets them go on."""

from __future__ import annotations

import select
import socket

import trio

from kit.serving import STUCK


class Gate:
    """Opened once, for tasks, threads and child processes.

    What was sent into a socket and is never read can be seen from each process.
    """

    def __init__(self) -> None:
        self._event = trio.Event()
        self._inside, self._outside = socket.socketpair()

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.open()
        # Who comes now fails, and who waits was told.
        self._outside.close()
        self._inside.close()

    def open(self) -> None:
        """Let everybody pass, now and later."""
        if not self._event.is_set():
            self._event.set()
            self._outside.send(b"!")

    async def wait(self) -> None:
        """Wait in a task."""
        await self._event.wait()

    def wait_blocking(self) -> None:
        """Wait in a thread, or in a child."""
        select.select([self._inside], [], [], STUCK)
