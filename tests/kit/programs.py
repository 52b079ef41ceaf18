"""Run the documentation's examples as a reader would, and talk to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

import trioserver
from kit.serving import STUCK, receive_line

EXAMPLES: Final = Path(__file__).parents[2] / "docs" / "examples"

# Lets an example with a fixed port listen on a free one, and say on which.
ON_A_FREE_PORT: Final = """
import runpy, sys, trioserver

class AnnouncingServer(trioserver.TCPServer):
    def __init__(self, server_address, RequestHandlerClass):
        super().__init__((server_address[0], 0), RequestHandlerClass)
        print("on {}:{}".format(*self.server_address), flush=True)

trioserver.TCPServer = AnnouncingServer
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


@attrs.frozen
class Program:
    """An example that serves, in a process of its own."""

    process: trio.Process
    output: trio.abc.ReceiveStream
    host: str
    port: int

    async def connect(self) -> trio.SocketStream:
        """Return a client's end of a new connection."""
        return await trio.open_tcp_stream(self.host, self.port)

    async def interrupt(self) -> int:
        """Do what Ctrl-C does. Return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return await self.process.wait()


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[Program]:
    """Run ``python`` with *arguments* until the end of the block.

    The first line it prints must end in the address it serves on.
    """
    run = partial(
        trio.run_process,
        [sys.executable, "-u", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
        env=environment(),
    )
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            process: trio.Process = await nursery.start(run)
            assert process.stdout is not None
            async with process.stdout as output:
                announcement = await receive_line(output)
                host, port = announcement.decode().split()[-1].rsplit(":", 1)
                yield Program(process, output, host, int(port))
                process.terminate()


async def output_of(*arguments: str) -> str:
    """Run ``python`` with *arguments* to its end, and return what it prints."""
    with trio.fail_after(STUCK):
        done = await trio.run_process(
            [sys.executable, *arguments], capture_stdout=True, env=environment()
        )
    return done.stdout.decode()


def environment() -> dict[str, str]:
    """Return this environment, in which trioserver is the one under test.

    Without coverage's measuring of child processes: its tracer holds a lock that is not
    reentrant, and a program where Ctrl-C strikes just there hangs (3 of 1 200 did).
    """
    package = Path(trioserver.__file__).parent
    unmeasured = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("COVERAGE_PROCESS_")
    }
    return unmeasured | {"PYTHONPATH": str(package.parent)}
