"""Wait for the exit of one child, and of no other."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol, final

import trio

from trioserver._open_descriptors import note_open


class ExitWatch(Protocol):
    """Tells when a child has exited. It does not reap it."""

    async def wait(self) -> None:
        """Wait until it has exited."""

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, and never another process that has its number now.

        Raises:
            ProcessLookupError: If it was reaped.
        """

    def close(self) -> None:
        """Stop watching: it has been reaped."""


def watch_exit(pid: int) -> ExitWatch:
    """Watch the child *pid*, which nobody has reaped.

    With a descriptor for it, where the system has that and has one left (Linux 5.3),
    and otherwise with a thread.

    Raises:
        RuntimeError: If there is no thread left either.
    """
    try:
        return PidfdWatch(pid)
    except (AttributeError, OSError):
        return ThreadWatch(pid)


@final
class PidfdWatch:
    """Watches a child with a pidfd, which Trio waits for as for a socket."""

    __slots__ = ("_file",)

    def __init__(self, pid: int) -> None:
        self._file = note_open(io.FileIO(os.pidfd_open(pid)))

    async def wait(self) -> None:
        """Wait until it has exited."""
        await trio.lowlevel.wait_readable(self._file.fileno())

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        signal.pidfd_send_signal(self._file.fileno(), number)

    def close(self) -> None:
        """Close the descriptor."""
        trio.lowlevel.notify_closing(self._file.fileno())
        self._file.close()


@final
class ThreadWatch:
    """Watches a child with a thread that waits for it."""

    __slots__ = ("_exited", "_pid")

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._exited = trio.Event()
        trio.lowlevel.start_thread_soon(
            partial(wait_until_exited, pid),
            partial(_deliver, trio.lowlevel.current_trio_token(), self._exited.set),
            # As Trio calls its idle threads: it holds no lock that a child would miss.
            name=f"Trio thread, waiting for process {pid}",
        )

    async def wait(self) -> None:
        """Wait until it has exited."""
        await self._exited.wait()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal: its number is its own until it is reaped."""
        os.kill(self._pid, number)

    def close(self) -> None:
        """Do nothing: the thread ends with the child."""


def wait_until_exited(pid: int) -> None:
    """Block until the child *pid* has exited, and leave it to be reaped."""
    # Somebody else may have reaped it, or the process may ignore SIGCHLD.
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def _deliver(
    token: trio.lowlevel.TrioToken,
    set_event: Callable[[], None],
    _result: object,
) -> None:
    # The run may be over, if the child was reaped in the last moment.
    with suppress(trio.RunFinishedError):
        token.run_sync_soon(set_event)
