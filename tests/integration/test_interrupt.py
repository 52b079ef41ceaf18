"""Ctrl-C at every line of the library that a serving process runs."""

from __future__ import annotations

import contextlib
import signal
import sys
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any

import attrs
import pytest
import trio

import trioserver
from kit.datagrams import UpperDatagramHandler, open_client
from kit.datagrams import ask as ask_by_datagram
from kit.moments import SAMPLE
from kit.serving import LOOPBACK, STUCK, UpperHandler, ask, connect
from trioserver import (
    DatagramSessionHandler,
    TCPServer,
    UDPServer,
    UDPSessionServer,
)
from trioserver._testing.moments import Choice
from trioserver.testing import Snapshot

PACKAGE = str(Path(trioserver.__file__).parent)

Serve = Callable[[TCPServer], Awaitable[None]]

# No closer than the lines of the function that awaits a hook: Ctrl-C between a call of
# it and the await is Python's own, and leaves a coroutine that nobody awaits.
HARMLESS = "was never awaited"


@attrs.define
class Interrupter:
    """Presses Ctrl-C when a given line of the library is about to run."""

    at_line: int
    lines: int = 0
    where: str = ""

    def __call__(self, frame: FrameType, event: str, arg: object) -> Any:  # type: ignore[explicit-any]  # as sys.settrace has it  # noqa: ANN401  # likewise
        return self.trace if frame.f_code.co_filename.startswith(PACKAGE) else None

    def trace(self, frame: FrameType, event: str, arg: object) -> Any:  # type: ignore[explicit-any]  # as sys.settrace has it  # noqa: ANN401  # likewise
        if event == "line":
            self.lines += 1
            if self.lines == self.at_line:
                self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                signal.raise_signal(signal.SIGINT)
        return self.trace


async def serve(server: TCPServer) -> None:
    await server.serve()


async def serve_forever(server: TCPServer) -> None:
    await server.serve_forever()


async def serve_in_block(server: TCPServer) -> None:
    async with server:
        await server.serve_forever()


async def handle_request(server: TCPServer) -> None:
    await server.handle_request()


async def visit(server: TCPServer) -> None:
    """Be served once, then shut the server down."""
    with contextlib.suppress(OSError, trio.BrokenResourceError):
        if isinstance(server, UDPServer):
            with open_client(server) as datagrams:
                await ask_by_datagram(datagrams, b"hello")
        else:
            async with await connect(server) as client:
                await ask(client, b"hello\n")
        await server.shutdown()


class ShortSessionHandler(DatagramSessionHandler):
    """Is done after one datagram."""

    async def handle(self) -> None:
        await self.session.send(await self.session.receive())


SERVERS: dict[str, Callable[[], TCPServer]] = {
    "tcp": lambda: TCPServer(LOOPBACK, UpperHandler),
    "udp": lambda: UDPServer(LOOPBACK, UpperDatagramHandler),
    "sessions": lambda: UDPSessionServer(LOOPBACK, ShortSessionHandler),
}


async def play(serving: Serve, server: TCPServer, interrupter: Interrupter) -> None:
    trio.lowlevel.spawn_system_task(visit, server)
    before = sys.gettrace()
    with trio.fail_after(STUCK):
        sys.settrace(interrupter)
        try:
            await serving(server)
        finally:
            sys.settrace(before)


def interrupt_at(
    serving: Serve, make_server: Callable[[], TCPServer], at_line: int
) -> tuple[Interrupter, list[str]]:
    """Interrupt a run at one line. Return what was wrong."""
    before = Snapshot.take()
    interrupter = Interrupter(at_line)
    outcome = "no interrupt"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with make_server() as server:
            server.linger_timeout = 0.05
            try:
                trio.run(play, serving, server, interrupter)
            except KeyboardInterrupt:
                outcome = ""
        left = Snapshot.take().left_behind(before)
    found = [text for each in caught if HARMLESS not in (text := str(each.message))]
    problems = [f"{interrupter.where}: {text}" for text in [outcome, *found, *left]]
    return interrupter, [problem for problem in problems if not problem.endswith(": ")]


@pytest.mark.proof
@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize(
    "serving", [serve, serve_forever, serve_in_block, handle_request]
)
def test_an_interrupt_at_any_line_ends_the_server_and_leaks_nothing(
    serving: Serve, kind: str
) -> None:
    quiet, problems = interrupt_at(serving, SERVERS[kind], 0)
    assert problems == [": no interrupt"]
    problems.clear()

    for at_line in Choice(SAMPLE, None).among(quiet.lines):
        interrupter, found = interrupt_at(serving, SERVERS[kind], at_line)
        if not interrupter.where:
            break
        problems += found

    assert problems == []
    assert quiet.lines > 100
