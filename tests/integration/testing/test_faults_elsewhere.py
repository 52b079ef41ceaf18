"""What fails in the thread of a handler, and in a child, is made and told, too."""

from __future__ import annotations

import logging
import socketserver
from collections.abc import Awaitable, Callable

import pytest
import trio

from kit.serving import LOOPBACK, STUCK, UpperHandler, connect, receive_line
from kit.threads import UpperThreadHandler
from trioserver import ForkingTCPServer, TCPServer, ThreadingTCPServer
from trioserver.testing import Report, Trial, fail_everywhere

Play = Callable[[Trial], Awaitable[None]]


async def ask(server: TCPServer) -> None:
    """Insist on a reply."""
    async with await connect(server) as client:
        await client.send_all(b"hello\n")
        await client.send_eof()
        assert await receive_line(client) == b"HELLO\n"


def asking_once(server: type[TCPServer], handler: object = UpperThreadHandler) -> Play:
    """Return a scenario in which a client asks *server* for one thing."""

    async def play(trial: Trial) -> None:
        async with trial.serving(server(LOOPBACK, handler)) as serving:  # type: ignore[arg-type]  # some are wrong on purpose
            await trial.visit(ask, serving)

    return play


def find(play: Play, *operations: str, only: int | None = None) -> Report:
    """Let *operations* fail; then a fresh client must be served."""
    return fail_everywhere(
        play,
        probe=ask,
        operations=operations or None,
        hang_seconds=STUCK,
        only=only,
    )


@pytest.mark.parametrize(
    ("server", "handler", "lane"),
    [
        (ThreadingTCPServer, UpperThreadHandler, "fault in a thread"),
        (ForkingTCPServer, UpperThreadHandler, "fault in a child"),
        (ForkingTCPServer, UpperHandler, "fault in a child"),
    ],
)
def test_what_fails_elsewhere_harms_one_client_at_most(
    server: type[TCPServer], handler: object, lane: str
) -> None:
    report = find(asking_once(server, handler), "recv", "recv_into", "sendall", "close")

    report.check()
    assert set(report.tried) == {"fault", lane}
    # Each errno of reading the line, and of closing: more than in Trio's thread.
    assert report.tried[lane] > report.tried["fault"]


def test_there_is_nothing_elsewhere_without_threads_and_children() -> None:
    report = find(asking_once(TCPServer, UpperHandler), "recv")

    report.check()
    assert set(report.tried) == {"fault"}


class ImpatientHandler(socketserver.StreamRequestHandler):
    """Does not wait for a client for long."""

    timeout = 0.01

    def handle(self) -> None:
        self.rfile.readline()


async def say_nothing(server: TCPServer) -> None:
    """Be a client that waits for the end."""
    async with await connect(server) as client:
        assert await client.receive_some() == b""


def test_a_handlers_timeout_passes_as_ever() -> None:
    async def play(trial: Trial) -> None:
        server = ThreadingTCPServer(LOOPBACK, ImpatientHandler)
        async with trial.serving(server):
            await trial.visit(say_nothing, server)

    report = fail_everywhere(play, operations=["recv_into", "shutdown"])

    report.check()
    assert report.tried["fault in a thread"] > 0


class ForgettingHandler(socketserver.StreamRequestHandler):
    """Believes that a send sends everything."""

    def handle(self) -> None:
        for line in self.rfile:
            self.connection.send(line.upper())


@pytest.mark.parametrize("server", [ThreadingTCPServer, ForkingTCPServer])
def test_finds_a_send_whose_result_nobody_looks_at(server: type[TCPServer]) -> None:
    play = asking_once(server, ForgettingHandler)
    failures = [
        failure
        for failure in find(play, "send").failures
        if "one byte" in failure.place and "AssertionError" in str(failure)
    ]
    again = find(play, "send", only=failures[0].number)

    line = ForgettingHandler.handle.__code__.co_firstlineno + 2
    where = "thread" if server is ThreadingTCPServer else "child"
    place = f"in a {where}, at testing/test_faults_elsewhere.py:{line}"
    assert failures[0].place.endswith(place)
    assert str(failures[0]).startswith(f"only={failures[0].number}, seed=0: send() ")
    assert failures[0].place in [failure.place for failure in again.failures]


class LoudHandler(socketserver.StreamRequestHandler):
    """Writes an error to the log for every client that has gone, in two lines."""

    def handle(self) -> None:
        try:
            for line in self.rfile:
                self.wfile.write(line.upper())
        except OSError:
            logging.getLogger("trioserver").log(logging.ERROR, "a client\nis gone")


@pytest.mark.parametrize("server", [ThreadingTCPServer, ForkingTCPServer])
def test_finds_what_fills_the_log(server: type[TCPServer]) -> None:
    problems = find(asking_once(server, LoudHandler), "recv_into").problems

    assert any("several lines" in problem for problem in problems)
    assert any("logged as ERROR" in problem for problem in problems)


def test_two_at_once_are_not_harmed_both() -> None:
    async def play(trial: Trial) -> None:
        async with trial.serving(ForkingTCPServer(LOOPBACK, UpperThreadHandler)) as own:
            async with trio.open_nursery() as nursery:
                for _ in range(2):
                    nursery.start_soon(trial.visit, ask, own)

    report = find(play, "recv_into")

    report.check()
    assert report.tried["fault in a child"] > 5
