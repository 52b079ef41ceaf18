"""A step of a task that does not end stops all of Trio, and is found all the same."""

from __future__ import annotations

import signal
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import trio
import trio.testing

from kit.serving import LOOPBACK, UpperHandler, ask, connect, eventually
from trioserver import TCPServer
from trioserver._testing import one_run
from trioserver._testing.overseer import Overseer, WallClock
from trioserver.testing import Trial, cancel_everywhere


@pytest.fixture
def quick_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_run, "STEP_SECONDS", 0.05)


async def block(_: Trial) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.recv(1)


async def spin(_: Trial) -> None:
    while True:
        with suppress(Exception):
            raise LookupError


async def block_twice(trial: Trial) -> None:
    try:
        await block(trial)
    finally:
        await block(trial)


@pytest.mark.usefixtures("quick_watchdog")
@pytest.mark.parametrize("scenario", [block, spin, block_twice])
def test_a_step_that_does_not_end_is_found(
    scenario: Callable[[Trial], Awaitable[None]],
) -> None:
    report = cancel_everywhere(scenario)

    (problem,) = report.problems
    assert problem.startswith("lets no other task run, one step has taken more ")
    assert ": the scenario at testing/test_watchdog.py:" in problem
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


@pytest.mark.usefixtures("quick_watchdog")
def test_a_step_that_does_not_end_in_a_server_is_found() -> None:
    class BlockingHandler(UpperHandler):
        async def handle(self) -> None:
            await block(Trial())

    async def play(trial: Trial) -> None:
        async with trial.serving(TCPServer(LOOPBACK, BlockingHandler)) as server:
            async with await connect(server) as client:
                await ask(client, b"hello\n")

    (problem,) = cancel_everywhere(play).problems

    assert ": RequestsInFlight._run at testing/test_watchdog.py:" in problem


@pytest.mark.usefixtures("quick_watchdog")
def test_what_comes_of_the_end_of_a_step_is_no_finding() -> None:
    async def play(trial: Trial) -> None:
        async with trial.serving(TCPServer(LOOPBACK, UpperHandler)):
            await block(trial)

    (problem,) = cancel_everywhere(play).problems

    assert problem.startswith("lets no other task run, ")


@pytest.mark.usefixtures("quick_watchdog")
def test_a_run_whose_clock_stands_still_is_found() -> None:
    class ShieldingHandler(UpperHandler):
        async def handle(self) -> None:
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()

    async def play(trial: Trial) -> None:
        async with trial.serving(TCPServer(LOOPBACK, ShieldingHandler)) as server:
            await connect(server)

    report = cancel_everywhere(play, clock=trio.testing.MockClock)
    again = cancel_everywhere(relax, clock=trio.testing.MockClock, sample=1)

    (problem,) = report.problems
    assert problem.startswith("hangs: its clock stands still, and nothing has run for ")
    assert " ShieldingHandler.handle (test_watchdog.py:" in problem
    assert "<" not in problem
    again.check()
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_a_run_that_was_given_up_is_not_looked_at_again() -> None:
    overseer = Overseer(Trial(), 1, WallClock(), has_given_up=True)

    for _ in range(2):
        overseer.look(None)

    assert overseer.found == ()


async def relax(_: Trial) -> None:
    await trio.lowlevel.checkpoint()


@pytest.mark.usefixtures("quick_watchdog")
def test_a_run_that_takes_its_time_is_fine() -> None:
    async def sleep(_: Trial) -> None:
        await trio.sleep(0.2)

    cancel_everywhere(sleep, sample=1).check()


@pytest.mark.usefixtures("quick_watchdog")
def test_a_timer_that_somebody_else_has_set_goes_on() -> None:
    async def sleep(_: Trial) -> None:
        rings.clear()
        await eventually(lambda: len(rings) > 1)

    rings: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: rings.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        report = cancel_everywhere(sleep, by="cancel", sample=1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    report.check()


def test_runs_in_a_thread_have_no_watchdog() -> None:
    async def end(_: Trial) -> None:
        await trio.lowlevel.checkpoint()

    with ThreadPoolExecutor() as pool:
        report = pool.submit(cancel_everywhere, end, by="cancel").result()

    report.check()
