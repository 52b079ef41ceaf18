"""What one run has left is told of that run, and of no other."""

from __future__ import annotations

import gc
import tempfile
from typing import IO

import trio

from kit.serving import LOOPBACK, UpperHandler, ask, connect
from trioserver import TCPServer
from trioserver._testing.noise import recorded_noise
from trioserver.testing import (
    MemoryNetwork,
    Trial,
    cancel_everywhere,
    fail_everywhere,
    running,
)


class PoolServer(TCPServer):
    """Keeps a file for each request that runs."""

    def __init__(self, *args: object) -> None:
        self.pool: dict[object, IO[bytes]] = {}
        super().__init__(LOOPBACK, PoolHandler)


class PoolHandler(UpperHandler):
    """Does not give its file back when it is cancelled."""

    server: PoolServer

    async def handle(self) -> None:
        self.server.pool[self] = tempfile.TemporaryFile()  # noqa: SIM115  # the bug
        await super().handle()
        self.server.pool.pop(self).close()


async def use_the_pool(trial: Trial) -> None:
    async with trial.serving(PoolServer()) as server:
        async with await connect(server) as client:
            await ask(client, b"hello\n")


def test_each_leak_is_found_in_its_own_run() -> None:
    report = cancel_everywhere(use_the_pool, by="cancel", stop_after=100)

    assert len(report.failures) > 3
    for failure in report.failures:
        leaked, unclosed = failure.problems
        assert leaked.startswith("left behind: descriptor ")
        assert unclosed.startswith("unclosed file ")


async def start_in_memory(_: Trial) -> None:
    server = TCPServer(LOOPBACK, UpperHandler)
    async with running(server, MemoryNetwork()):
        pass


def test_what_a_failure_has_broken_is_not_kept_for_the_next_run() -> None:
    first = fail_everywhere(start_in_memory, operations="close", stop_after=100)
    again = fail_everywhere(start_in_memory, operations="setsockopt")

    assert any("unclosed <MemorySocket" in problem for problem in first.problems)
    assert all("left behind: " in str(failure) for failure in first.failures)
    again.check()


def test_what_applies_is_seen_before_the_run_is_forgotten() -> None:
    async def play(trial: Trial) -> None:
        async with trial.serving(TCPServer(LOOPBACK, UpperHandler)):
            await trio.lowlevel.checkpoint()

    report = cancel_everywhere(play, sample=1)

    assert list(report.tried) == ["cancel", "interrupt", "shutdown", "close"]


def test_what_a_thread_keeps_of_a_run_that_hangs_can_be_freed_later() -> None:
    kept: list[object] = []

    async def hang(_: Trial) -> None:
        # As a thread does, that the task waits for.
        kept.append(trio.lowlevel.current_task().parent_nursery)
        await trio.sleep_forever()

    cancel_everywhere(hang, hang_seconds=0.05)
    with recorded_noise() as noise:
        kept.clear()
        gc.collect()

    assert noise == []
