"""Where requests wait until the scenario lets them go on."""

from __future__ import annotations

import select
import socket
from typing import Self

import trio

from kit.serving import STUCK


class Gate:
    """Opened once, for tasks, threads and child processes.

    What was sent into a socket and is never read can be seen from each process.
    """

    def __init__(self) -> None:
        self._is_open = False
        self._inside, self._outside = socket.socketpair()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.open()
        # Who comes now fails, and who waits was told.
        self._outside.close()
        self._inside.close()

    def open(self) -> None:
        """Let everybody pass, now and later."""
        if not self._is_open:
            self._is_open = True
            self._outside.send(b"!")

    async def wait(self) -> None:
        """Wait in a task, be it one in a child."""
        with self._inside.dup() as own:  # each descriptor is waited for by one task
            await trio.lowlevel.wait_readable(own)

    def wait_blocking(self) -> None:
        """Wait in a thread, or in a child."""
        select.select([self._inside], [], [], STUCK)
