"""Which failures a server outlives: in this process, and by the kernel's own word."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

from kit.fault_scenarios import Case, keep_alive
from kit.programs import Program, running
from kit.serving import ask, eventually
from kit.strace import injecting
from trioserver import ListenerBrokenError
from trioserver._testing.dispatches import Dispatches
from trioserver._testing.errnos import EXHAUSTED, PENDING
from trioserver._testing.fault_injector import FaultInjector
from trioserver._testing.one_run import Conditions, run_once
from trioserver._testing.socket_calls import intercepted
from trioserver._testing.trial import Trial

SERVER: Final = """
import trio, trioserver

class Handler(trioserver.StreamRequestHandler):
    async def handle(self):
        async for line in self.rfile:
            await self.wfile.write(line.upper())

server = trioserver.TCPServer(("127.0.0.1", 0), Handler)
print("on {}:{}".format(*server.server_address), flush=True)
trio.run(server.serve)
"""

SERVES_ON: Final = "serves on"
ENDS: Final = "ends"

# Seconds that a client waits for what may never come.
_PATIENCE: Final = 1.0


@attrs.frozen
class Injection:
    """The same failure, for both ways."""

    operation: str
    """As `fail_everywhere` calls it."""
    errno: str
    calls: Sequence[str]
    """As the kernel calls it."""
    when: str = "1"
    """Which call, for strace."""

    @property
    def is_for_good(self) -> bool:
        """Whether the call fails from now on, whenever it is made."""
        return self.when.endswith("+")

    def __str__(self) -> str:
        return f"{self.operation} {self.errno} {self.when}"


_ACCEPT: Final = [*EXHAUSTED, "ECONNABORTED", "EPERM", *PENDING, "ETIMEDOUT"]
_TRANSFER: Final = ["ECONNRESET", "ETIMEDOUT", "EHOSTUNREACH", "ENOTCONN", "ENOMEM"]

INJECTIONS: Final = [
    # An injected EMFILE comes before the connection is looked at, as the real one does.
    *(Injection("accept", errno, ["accept4"]) for errno in _ACCEPT),
    *(Injection("recv", errno, ["recvfrom"]) for errno in _TRANSFER),
    *(Injection("send", errno, ["sendto"]) for errno in [*_TRANSFER, "EPIPE"]),
    Injection("send", "EAGAIN", ["sendto"]),
    Injection("shutdown", "ENOTCONN", ["shutdown"]),
    *(Injection("close", errno, ["close"]) for errno in ("EIO", "EINTR", "ENOSPC")),
    *(
        Injection("epoll_ctl_add", errno, ["epoll_ctl"], when)
        for errno in ("ENOMEM", "ENOSPC")
        for when in ("1", "2", "3")
    ),
    # For good, as a broken socket is: so the question whether it listens fails as well.
    *(
        Injection("accept", errno, ["accept4", "getsockopt"], "1+")
        for errno in ("EBADF", "ENOTSOCK", "EINVAL")
    ),
]


def outcomes_in_process(operation: str) -> dict[str, str]:
    """Return what a server does after each failure of *operation*."""
    outcomes: dict[str, str] = {}
    moment = 0
    with Dispatches() as dispatches:
        while True:
            moment += 1
            injector = FaultInjector(moment, dispatches, frozenset({operation}))
            with intercepted(injector.intercept):
                problems = run_once(_play, injector, Conditions())
            if injector.fault is None:
                return outcomes
            assert problems == ()
            has_ended = ListenerBrokenError in injector.trial.harm.server_errors
            outcomes[injector.fault.failure] = ENDS if has_ended else SERVES_ON


async def _play(trial: Trial) -> None:
    case = Case(clients=(keep_alive,))
    trial.harm.probe = case.probe
    await case.play(trial)


@asynccontextmanager
async def server_process() -> AsyncIterator[Program]:
    """Run the server until the end of the block."""
    async with running("-c", SERVER) as program:
        await _visit(program)
        yield program


async def outcome_by_strace(
    program: Program, injection: Injection, directory: Path
) -> str:
    """Return what the server in another process does after *injection*.

    Raises:
        AssertionError: If nothing was injected, or the server does neither.
    """
    log = directory / f"{injection}.log"
    pid = program.process.pid
    inject = partial(injecting, pid, injection.calls, injection.errno)
    async with inject(when=injection.when, log=log) as strace:
        with suppress(OSError, trio.BrokenResourceError, trio.TooSlowError):
            await _visit(program)
        with trio.move_on_after(_PATIENCE):
            await eventually(lambda: strace.injections)
    assert strace.injections, injection
    with trio.move_on_after(_PATIENCE if injection.is_for_good else 0):
        await program.process.wait()
        return ENDS
    assert await _visit(program) == b"HELLO\n"
    return SERVES_ON


async def _visit(program: Program) -> bytes:
    with trio.fail_after(_PATIENCE):
        async with await program.connect() as client:
            return await ask(client, b"hello\n")
