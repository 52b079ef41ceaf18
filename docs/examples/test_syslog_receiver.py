# ruff: noqa: S101  # pytest's asserts
from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from kit.datagrams import open_unconnected
from kit.programs import EXAMPLES, environment, running
from kit.serving import STUCK, receive_line

RECEIVER = str(EXAMPLES / "syslog_receiver.py")


async def log(*arguments: str) -> None:
    """Log a warning with the real logger."""
    await trio.run_process(["logger", "--priority", "user.warning", *arguments])


async def test_receives_from_logger_over_udp() -> None:
    async with running(RECEIVER, "127.0.0.1:0") as program:
        server = ["--server", program.host, "--port", str(program.port)]
        await log("--udp", *server, "hello")
        line = await receive_line(program.output)

    assert line.startswith(b"warning: ")
    assert b" hello" in line


async def test_receives_from_logger_over_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    async with receiving(path) as output:
        await log("--socket", path, "hello")
        line = await receive_line(output)

    assert line.startswith(b"warning: ")
    assert b" hello" in line


async def test_prints_nothing_that_a_terminal_would_obey() -> None:
    async with running(RECEIVER, "127.0.0.1:0") as program:
        with open_unconnected() as client:
            address = (program.host, program.port)
            await client.sendto(b"no priority", address)
            await client.sendto(b"<3>two\nlines \x1b[2J", address)
            line = await receive_line(program.output)

    assert line == b"err: 'two\\nlines \\x1b[2J'\n"


@asynccontextmanager
async def receiving(path: str) -> AsyncIterator[trio.abc.ReceiveStream]:
    """Run the example on *path* until the end of the block. Give what it prints."""
    run = partial(
        trio.run_process,
        [sys.executable, "-u", RECEIVER, path],
        stdout=subprocess.PIPE,
        env=environment(),
    )
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            process: trio.Process = await nursery.start(run)
            assert process.stdout is not None
            async with process.stdout as output:
                await receive_line(output)
                yield output
                process.send_signal(signal.SIGINT)
