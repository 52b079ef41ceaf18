"""Bugs of each kind are found, and the report says where they are."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from kit.serving import LOOPBACK, UpperHandler, ask, connect, eventually
from trioserver import BaseServer, StreamRequestHandler, TCPServer
from trioserver.testing import Report, Trial, cancel_everywhere

# Seconds. What hangs in these tests hangs for ever.
HANG = 0.2


async def echo(trial: Trial, server: TCPServer) -> None:
    """Ask once, and insist on the reply."""
    async with trial.add_client(await connect(server)) as client:
        assert await ask(client, b"hello\n") == b"HELLO\n"


Visit = Callable[[Trial, TCPServer], Awaitable[None]]


def scenario(
    make_server: Callable[[], TCPServer], visit: Visit = echo
) -> Callable[[Trial], Awaitable[None]]:
    """Return a scenario in which two clients visit a server."""

    async def play(trial: Trial) -> None:
        async with trial.serving(make_server()) as server:
            async with trio.open_nursery() as clients:
                for _ in range(2):
                    clients.start_soon(trial.visit, visit, trial, server)

    return play


def serving(handler: type[StreamRequestHandler]) -> Callable[[Trial], Awaitable[None]]:
    """Return a scenario in which two clients visit a server with *handler*."""
    return scenario(partial(QuietServer, LOOPBACK, handler))


class QuietServer(TCPServer):
    """Says nothing about errors."""

    async def handle_error(self, request: object, client_address: object) -> None:
        await trio.lowlevel.checkpoint()


def check_found(report: Report, what: str, place: str) -> None:
    """Check that a report has found *what*, and names *place*."""
    assert [problem for problem in report.problems if what in problem]
    assert place in str(report)
    with pytest.raises(AssertionError, match="runs failed"):
        report.check()


def test_a_sound_server_is_clean() -> None:
    report = cancel_everywhere(serving(UpperHandler))

    report.check()
    assert report.tried == report.moments
    assert list(report.tried) == ["cancel", "interrupt", "shutdown", "close", "reset"]
    assert min(report.tried.values()) > 20
    assert report.runs == 1 + sum(report.tried.values()) + 2 * len(report.tried)


def test_finds_a_socket_that_is_lost_between_accept_and_its_task() -> None:
    class LosingServer(QuietServer):
        async def get_request(self) -> tuple[object, object]:
            request = await super().get_request()
            await trio.lowlevel.checkpoint()  # cancelled here, nobody owns the request
            return request

    report = cancel_everywhere(
        scenario(partial(LosingServer, LOOPBACK, UpperHandler)), by="cancel"
    )

    check_found(
        report, "unclosed <socket", "LosingServer.get_request (test_planted_bugs.py:"
    )


def test_finds_a_missing_finally() -> None:
    class LosingHandler(UpperHandler):
        async def handle(self) -> None:
            descriptor = os.open(os.devnull, os.O_RDONLY)
            opened.append(descriptor)
            await super().handle()
            os.close(opened.pop())

    opened: list[int] = []

    report = cancel_everywhere(serving(LosingHandler), by="cancel")
    for descriptor in opened:
        os.close(descriptor)

    check_found(report, f"-> {os.devnull}", "LosingHandler.handle")


def test_finds_a_close_that_is_cancelled_before_it_has_closed() -> None:
    class UnshieldedHandler(UpperHandler):
        async def handle(self) -> None:
            descriptor = os.open(os.devnull, os.O_RDONLY)
            opened.append(descriptor)
            try:
                await super().handle()
            finally:
                await trio.lowlevel.checkpoint()  # where nobody shields it
                os.close(opened.pop())

    opened: list[int] = []

    report = cancel_everywhere(serving(UnshieldedHandler), by="cancel")
    for descriptor in opened:
        os.close(descriptor)

    check_found(report, f"-> {os.devnull}", "UnshieldedHandler.handle")


def test_finds_a_goodbye_that_waits_for_ever_and_cannot_be_cancelled() -> None:
    class PoliteHandler(UpperHandler):
        async def handle(self) -> None:
            try:
                await super().handle()
            finally:
                with trio.CancelScope(shield=True):
                    await self.request.receive_some()

    report = cancel_everywhere(
        scenario(partial(QuietServer, LOOPBACK, PoliteHandler), visit=leave),
        by="cancel",
        hang_seconds=HANG,
        stop_after=1,
    )

    check_found(report, "hangs", "PoliteHandler.handle (test_planted_bugs.py:")


async def leave(trial: Trial, server: TCPServer) -> None:
    """Ask, be silent for a moment, and leave."""
    async with await connect(server) as client:
        assert await ask(client, b"hello\n") == b"HELLO\n"
        with trio.move_on_after(math.inf if trial.is_injected else 0.01):
            await client.receive_some()


def test_finds_a_token_that_is_never_given_back() -> None:
    class LimitedServer(QuietServer):
        def __init__(self) -> None:
            super().__init__(LOOPBACK, LimitedHandler)
            self.limiter = trio.CapacityLimiter(10)

    class LimitedHandler(UpperHandler):
        server: LimitedServer

        async def handle(self) -> None:
            await self.server.limiter.acquire_on_behalf_of(self)
            await super().handle()
            self.server.limiter.release_on_behalf_of(self)

    report = cancel_everywhere(scenario(LimitedServer), by="reset")
    check_found(report, "tokens never given back", "LimitedHandler.handle")


def test_finds_an_accept_loop_that_swallows_its_cancellation() -> None:
    class StubbornServer(QuietServer):
        edge_triggered = False  # what runs away keeps all that it has for ever

        async def get_request(self) -> tuple[object, object]:
            while True:
                try:
                    return await super().get_request()
                except BaseException:  # noqa: S112  # the bug
                    continue

    report = cancel_everywhere(
        scenario(partial(StubbornServer, LOOPBACK, UpperHandler)),
        by="cancel",
        stop_after=1,
        hang_seconds=60,  # it takes its steps in less, however busy the machine is
    )

    check_found(report, "runs away", "StubbornServer.get_request")


def test_finds_a_file_that_is_left(tmp_path: Path) -> None:
    class SpoolingHandler(UpperHandler):
        async def handle(self) -> None:
            spool = tmp_path / f"{self.client_address[1]}"
            spool.touch()
            await super().handle()
            spool.unlink()

    report = cancel_everywhere(serving(SpoolingHandler), by="cancel", paths=[tmp_path])

    check_found(report, f"file {tmp_path}", "SpoolingHandler.handle")


def test_finds_a_thread_that_is_left() -> None:
    class ThreadingHandler(UpperHandler):
        async def handle(self) -> None:
            end = threading.Event()
            ends.append(end)
            threading.Thread(target=end.wait, name="a lost thread").start()
            await super().handle()
            end.set()

    ends: list[threading.Event] = []

    report = cancel_everywhere(serving(ThreadingHandler), by="cancel", sample=5)
    for end in ends:
        end.set()

    check_found(report, "thread a lost thread", "RequestsInFlight._run")


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for child in started:
        child.kill()
        child.wait()


def test_finds_a_child_that_is_left(children: list[subprocess.Popen[bytes]]) -> None:
    class SpawningHandler(UpperHandler):
        async def handle(self) -> None:
            children.append(subprocess.Popen(["sleep", "1000"]))  # noqa: ASYNC220, S607
            await super().handle()
            child = children.pop()
            child.kill()
            child.wait()

    report = cancel_everywhere(serving(SpawningHandler), by="cancel", stop_after=3)

    check_found(report, "(sleep)", "RequestsInFlight._run")


def test_finds_a_task_that_is_parked_for_ever() -> None:
    class PairingHandler(UpperHandler):
        async def handle(self) -> None:
            if waiting:
                waiting.pop().set()
            else:
                waiting.append(trio.Event())
                await waiting[0].wait()  # if the other one is refused, for ever
            await super().handle()

    waiting: list[trio.Event] = []

    async def play(trial: Trial) -> None:
        waiting.clear()
        server = QuietServer(LOOPBACK, PairingHandler)
        async with trial.serving(server), trio.open_nursery() as clients:
            clients.start_soon(trial.visit, echo, trial, server)
            await eventually(lambda: waiting or trial.is_injected)
            await trio.testing.wait_all_tasks_blocked()  # in shutdown(), too
            await trial.visit(echo, trial, server)

    report = cancel_everywhere(play, by="shutdown", hang_seconds=HANG, stop_after=1)

    check_found(report, "hangs", "PairingHandler.handle (test_planted_bugs.py:")


def test_finds_a_reply_that_is_lost_though_it_was_promised() -> None:
    class HastyServer(QuietServer):
        async def server_close(self) -> None:
            self._requests.cancel()
            await super().server_close()

    report = cancel_everywhere(
        scenario(partial(HastyServer, LOOPBACK, SlowHandler)),
        by="shutdown",
        stop_after=1000,
    )

    check_found(report, "the scenario raised AssertionError", "SlowHandler.handle")


class SlowHandler(UpperHandler):
    """Takes some steps for each request."""

    async def handle(self) -> None:
        for _ in range(5):
            await trio.lowlevel.checkpoint()
        await super().handle()


def test_finds_a_server_that_dies_of_a_reset() -> None:
    class StrictServer(TCPServer):
        async def handle_error(self, request: object, client_address: object) -> None:
            raise  # noqa: PLE0704  # the idiom: the exception being handled

    report = cancel_everywhere(
        scenario(partial(StrictServer, LOOPBACK, UpperHandler)), by="reset"
    )

    check_found(report, "the server raised LostToResetError", "UpperHandler.handle")


def test_finds_a_server_that_swallows_ctrl_c() -> None:
    async def serve_on(
        server: BaseServer, *, task_status: trio.TaskStatus[object]
    ) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            await server.serve(task_status=task_status)

    async def play(trial: Trial) -> None:
        server = QuietServer(LOOPBACK, UpperHandler)
        async with trial.serving(server, serve=partial(serve_on, server)):
            await echo(trial, server)

    report = cancel_everywhere(play, by="interrupt")

    check_found(report, "Ctrl-C was swallowed", "the main task at")
