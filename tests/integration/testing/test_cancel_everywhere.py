"""How the search for bad moments is done, and what is forgiven in it."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import trio
import trio.testing

from kit.serving import LOOPBACK, UpperHandler, ask, connect
from trioserver import BaseServer, TCPServer
from trioserver.testing import (
    Injection,
    Kind,
    Report,
    Trial,
    cancel_everywhere,
)

Scenario = Callable[[Trial], Awaitable[None]]


async def echo(trial: Trial, server: TCPServer) -> None:
    async with trial.add_client(await connect(server)) as client:
        assert await ask(client, b"hello\n") == b"HELLO\n"


async def one_echo(trial: Trial) -> None:
    async with trial.serving(TCPServer(LOOPBACK, UpperHandler)) as server:
        await echo(trial, server)


async def lose_a_descriptor(lost: list[int], trial: Trial) -> None:
    lost.append(os.dup(0))
    await trio.lowlevel.checkpoint()
    os.close(lost.pop())


# Without a server


async def relay(trial: Trial) -> None:
    async with trio.open_nursery() as nursery:
        send, receive = trio.open_memory_channel[str](0)
        nursery.start_soon(send.send, "hello")
        assert await receive.receive() == "hello"


def test_a_scenario_that_serves_nothing_is_ended_as_a_whole() -> None:
    report = cancel_everywhere(relay)

    report.check()
    assert list(report.tried) == ["cancel", "interrupt"]
    assert report.tried["cancel"] >= 4


def test_finds_what_such_a_scenario_leaves() -> None:
    lost: list[int] = []

    report = cancel_everywhere(partial(lose_a_descriptor, lost), by="cancel")
    for descriptor in lost:
        os.close(descriptor)

    assert any("left behind: descriptor" in problem for problem in report.problems)
    assert "lose_a_descriptor (test_cancel_everywhere.py:" in str(report)


def test_nothing_is_forgiven_to_such_a_scenario() -> None:
    async def fail_late(trial: Trial) -> None:
        try:
            await trio.lowlevel.checkpoint()
        finally:
            assert not trial.is_injected

    report = cancel_everywhere(fail_late, by="cancel")

    assert any("raised AssertionError" in problem for problem in report.problems)


# The moments


def test_a_failure_can_be_had_again_by_its_number() -> None:
    lost: list[int] = []
    scenario = partial(lose_a_descriptor, lost)

    first = cancel_everywhere(scenario, by="cancel").failures[0]
    again = cancel_everywhere(scenario, by="cancel", only=first.number, seed=first.seed)
    for descriptor in lost:
        os.close(descriptor)

    assert [failure.place for failure in again.failures] == [first.place]
    assert f"only={first.number}, by='cancel', seed=0: " in str(first)
    assert again.tried == {"cancel": 1}


def test_the_same_seed_has_the_same_moments() -> None:
    counts = [cancel_everywhere(one_echo, only=[]).moments for _ in range(2)]

    assert counts[0] == counts[1]


@pytest.mark.parametrize(("sample", "tried"), [(1, 1), (3, 3), (1000, 10)])
def test_a_sample_is_as_large_as_wanted(sample: int, tried: int) -> None:
    report = cancel_everywhere(one_echo, by="cancel", sample=sample)

    assert report.tried["cancel"] >= tried
    assert report.tried["cancel"] <= sample


def test_moments_that_do_not_come_are_not_counted() -> None:
    report = cancel_everywhere(one_echo, by="cancel", only=[10_000])

    assert report.tried == {"cancel": 0}
    with pytest.raises(AssertionError, match="no trouble was made, which proves noth"):
        report.check()


def test_a_failure_says_when_its_moment_has_not_come() -> None:
    server = TCPServer(LOOPBACK, UpperHandler)

    async def serve_again(trial: Trial) -> None:
        async with trial.serving(server):
            pass

    report = cancel_everywhere(serve_again, by="cancel", stop_after=1)

    (failure,) = report.failures
    assert "0: the run has ended before that moment came\n" in str(failure)
    assert "ServerClosedError" in failure.problems[0]


def test_enough_failures_are_enough() -> None:
    report = cancel_everywhere(one_echo, by=Injection("fail", fail), stop_after=2)

    assert len(report.failures) == 2
    assert "; given up, there may be more" in str(report)


def fail(trial: Trial) -> None:
    raise LookupError


# The trouble


def test_outside_of_the_main_thread_there_is_no_ctrl_c() -> None:
    with ThreadPoolExecutor() as pool:
        report = pool.submit(cancel_everywhere, one_echo, sample=1).result()

    report.check()
    assert list(report.tried) == ["cancel", "shutdown", "close", "reset"]


def test_an_unknown_trouble_is_refused() -> None:
    with pytest.raises(ValueError, match="by='x': there are cancel, interrupt"):
        cancel_everywhere(one_echo, by="x")  # type: ignore[arg-type]  # refused


def test_trouble_of_ones_own_can_be_made() -> None:
    made: list[Trial] = []

    report = cancel_everywhere(one_echo, by=Injection("mine", made.append), sample=3)

    report.check()
    assert len(made) == 3
    assert report.tried == {"mine": 3}


def test_trouble_that_fails_is_noticed() -> None:
    report = cancel_everywhere(one_echo, by=Injection("mine", fail), sample=1)

    assert "mine itself raised LookupError()" in report.problems[0]


def test_a_shutdown_that_fails_is_noticed() -> None:
    class BadServer(TCPServer):
        calls = 0

        async def server_close(self) -> None:
            self.calls += 1
            if self.calls == 1 and self.requests_in_flight:
                raise LookupError
            await super().server_close()

    async def play(trial: Trial) -> None:
        async with trial.serving(BadServer(LOOPBACK, UpperHandler)) as server:
            await echo(trial, server)

    report = cancel_everywhere(play, by="close")

    assert any("server_close() raised LookupError" in text for text in report.problems)


def test_a_ctrl_c_of_somebody_else_ends_the_search() -> None:
    async def play(trial: Trial) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        cancel_everywhere(play)


class OwnClient:
    """A client that knows how to reset itself."""

    resets = 0

    def reset(self) -> None:
        self.resets += 1


def test_a_client_of_ones_own_is_told_to_reset() -> None:
    client = OwnClient()

    async def play(trial: Trial) -> None:
        trial.add_client(client)
        await one_echo(trial)

    report = cancel_everywhere(play, by="reset", sample=3)

    report.check()
    assert client.resets == 3


# What is forgiven


async def refused_by_trio(trial: Trial, server: TCPServer) -> None:
    await trio.lowlevel.checkpoint()
    async with await trio.open_tcp_stream(*server.server_address) as client:
        assert await ask(client, b"hello\n") == b"HELLO\n"


@pytest.mark.parametrize("by", ["shutdown", "close"])
def test_a_refused_connection_is_forgiven(by: Kind) -> None:
    async def play(trial: Trial) -> None:
        async with trial.serving(TCPServer(LOOPBACK, UpperHandler)) as server:
            for client in (echo, refused_by_trio, echo):
                await client(trial, server)

    cancel_everywhere(play, by=by).check()


def test_a_client_that_waits_for_one_that_was_refused_does_not_hang() -> None:
    async def play(trial: Trial) -> None:
        async def first() -> None:
            await echo(trial, server)
            came.set()

        came = trio.Event()
        async with trial.serving(TCPServer(LOOPBACK, UpperHandler)) as server:
            async with trio.open_nursery() as clients:
                clients.start_soon(trial.visit, first)
                await came.wait()

    cancel_everywhere(play, by="shutdown", sample=5).check()


@pytest.mark.parametrize("by", ["cancel", "shutdown"])
def test_an_error_that_is_no_loss_is_never_forgiven(by: Kind) -> None:
    async def play(trial: Trial) -> None:
        async with trial.serving(TCPServer(LOOPBACK, UpperHandler)) as server:
            await echo(trial, server)
            if trial.is_injected:
                raise LookupError

    report = cancel_everywhere(play, by=by)

    assert any("the scenario raised LookupError" in text for text in report.problems)


def test_a_client_may_live_outside_of_the_block() -> None:
    async def play(trial: Trial) -> None:
        async with trio.open_nursery() as clients:
            async with trial.serving(TCPServer(LOOPBACK, UpperHandler)) as server:
                clients.start_soon(echo, trial, server)
                await echo(trial, server)

    cancel_everywhere(play, by="cancel").check()


# Several servers, other clocks


def test_two_servers_are_ended_together() -> None:
    async def play(trial: Trial) -> None:
        async with trial.serving(TCPServer(LOOPBACK, UpperHandler)) as one:
            async with trial.serving(TCPServer(LOOPBACK, UpperHandler)) as two:
                await echo(trial, one)
                await echo(trial, two)

    cancel_everywhere(play, sample=8).check()


class NoNetwork:
    """Moves a server nowhere, and counts them."""

    adopted = 0

    def adopt(self, server: BaseServer) -> None:
        self.adopted += 1


def test_a_server_can_be_moved_to_a_network() -> None:
    network = NoNetwork()

    async def play(trial: Trial) -> None:
        server = TCPServer(LOOPBACK, UpperHandler)
        async with trial.serving(server, network):
            await echo(trial, server)

    report = cancel_everywhere(play, by="cancel", sample=2)

    assert network.adopted == report.runs == 3


def test_hours_of_a_virtual_clock_take_no_time() -> None:
    async def sleep(trial: Trial) -> None:
        await trio.sleep(3600)

    clock = partial(trio.testing.MockClock, autojump_threshold=0)

    cancel_everywhere(sleep, clock=clock, hang_seconds=10_000).check()


def test_a_limiter_can_be_watched() -> None:
    async def play(trial: Trial) -> None:
        limiter = trio.CapacityLimiter(1)
        trial.add_limiter(limiter)
        await limiter.acquire_on_behalf_of("somebody")
        await trio.lowlevel.checkpoint()
        limiter.release_on_behalf_of("somebody")

    report = cancel_everywhere(play, by="cancel")

    assert any("tokens never given back" in problem for problem in report.problems)


def test_the_collector_is_left_as_it_was() -> None:
    gc.unfreeze()
    gc.disable()
    try:
        cancel_everywhere(relay, by="cancel", sample=1)
        assert not gc.isenabled()
        assert gc.get_freeze_count() == 0
    finally:
        gc.enable()
        gc.freeze()
    cancel_everywhere(relay, by="cancel", sample=1)
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


def test_an_empty_report_says_so() -> None:
    assert str(Report()) == "0 of 0 runs failed (no trouble was made)"
