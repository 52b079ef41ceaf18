"""Run a server for the length of a block, and let nothing of it remain."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import trio

from trioserver._engine.hooks import settled
from trioserver._exception_groups import un_nested
from trioserver._log import log
from trioserver._servers.base import BaseServer
from trioserver._testing.await_frames import describe_task, runs_foreign_code
from trioserver._testing.leaks import LeakError, Snapshot, leaks_since
from trioserver._testing.network import Network
from trioserver._testing.options import check_seconds, check_server
from trioserver._testing.task_tree import tasks_below

ServerT = TypeVar("ServerT", bound=BaseServer)


# Seconds of real time in which other servers in this process may close a connection.
_MOMENT: Final = 0.5

_REMEDY: Final = """
A request lasts as long as its client stays: close clients inside of the block, or set
the server's drain_timeout."""


class StillRunningError(AssertionError):
    """A server was asked to shut down, and its requests have not ended in time.

    An `AssertionError`, so that test runners report a failure.
    """

    def __init__(self, patience: float, tasks: list[str]) -> None:
        super().__init__(patience, tasks)
        self.tasks = tasks
        """Each task that runs code of yours, and the lines at which it waits.

        If there is none, each task that runs.
        """
        self._patience = patience

    def __str__(self) -> str:
        head = f"{self._patience:g} s after shutdown() these have not ended:"
        return "\n- ".join([head, *self.tasks]) + _REMEDY


@asynccontextmanager
async def running(
    server: ServerT, network: Network | None = None, patience: float = 20.0
) -> AsyncGenerator[ServerT]:
    """Serve while the block runs; then shut down, and wait for the requests.

    For ``async with running(server):``. An error in the block cancels the server at
    once, and surfaces as itself.

    Args:
        server: A server that has not served yet.
        network: Where it serves, in place of the real network.
        patience: Seconds that everything may take to end.

    Raises:
        StillRunningError: If something still ran then. It is cancelled, and waited
            for; the log has the error at once, since what does not heed that never
            ends.
        TypeError: If there is no server, or no network.
        LeakError: If server or block have left something behind that was not there
            before: a descriptor, a thread, a child process. Those of whatever else
            serves in this process count, too, once they have had a moment to end.

    Cancellation:
        Cancels the server.
    """
    check_server("running()", server, network)
    check_seconds("patience", patience)
    before = Snapshot.take()
    if network is not None:
        network.adopt(server)
    ended = trio.Event()
    with un_nested():
        async with trio.open_nursery() as nursery:
            await nursery.start(_serve, server, ended)
            yield server
            with trio.move_on_after(patience):
                await settled(server.shutdown())
                await ended.wait()
            if not ended.is_set():
                error = StillRunningError(patience, _places(nursery))
                log(logging.ERROR, "This is cancelled now", error=error)
                raise error
    if leaks := await _lasting_leaks(before, patience):
        raise LeakError(leaks)


async def _lasting_leaks(before: Snapshot, patience: float) -> list[str]:
    """Return what is left behind by all but what ends in the next moment."""
    leaks = leaks_since(before, patience=patience, tasks=False)
    deadline = time.monotonic() + _MOMENT
    while leaks and time.monotonic() < deadline:
        # Not by the clock of Trio, which may stand still, or jump.
        await trio.lowlevel.checkpoint()
        leaks = leaks_since(before, patience=0, tasks=False)
    return leaks


async def _serve(
    server: BaseServer, ended: trio.Event, *, task_status: trio.TaskStatus[object]
) -> None:
    try:
        await server.serve(task_status=task_status)
    finally:
        ended.set()


def _places(nursery: trio.Nursery) -> list[str]:
    tasks = list(tasks_below(nursery))
    telling = list(filter(runs_foreign_code, tasks)) or tasks
    return sorted(map(describe_task, telling))
