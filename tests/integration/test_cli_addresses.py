"""The command line on addresses of every kind, tried as it says."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from kit.programs import environment
from kit.serving import STUCK, receive_line
from kit.unix_sockets import names_in
from trioserver._cli.main import main

# Each test starts an interpreter.
pytestmark = pytest.mark.slow

HANDLERS = """
import trioserver

class Stream(trioserver.StreamRequestHandler):
    async def handle(self):
        await self.wfile.write(await self.rfile.readline())

class Datagram(trioserver.DatagramRequestHandler):
    async def handle(self):
        self.wfile.write(self.packet)
"""


@asynccontextmanager
async def serving(directory: Path, *binds: str) -> AsyncIterator[list[str]]:
    """Run the program until the end of the block. Yield what it has said first."""
    command = [sys.executable, "-m", "trioserver", "serve"]
    with trio.fail_after(STUCK):
        process = await trio.lowlevel.open_process(
            [*command, *(f"--bind={bind}" for bind in binds)],
            cwd=directory,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        async with process.stdout as stdout:
            try:
                lines = [""]
                while "Ctrl-C" not in lines[-1]:
                    line = (await receive_line(stdout)).decode()
                    assert line, lines
                    lines.append(line)
                yield lines[1:]
                process.terminate()
                assert await process.wait() == 0
            finally:
                process.kill()
                with trio.CancelScope(shield=True):
                    await process.wait()


async def answer_of(command: list[str], directory: Path) -> bytes:
    """Type a line into the client *command*, and return the line that it prints."""
    process = await trio.lowlevel.open_process(
        command, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with process.stdin as stdin, process.stdout as stdout:
            await stdin.send_all(b"hello\n")
            return await receive_line(stdout)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


def addresses() -> dict[str, str]:
    """Return an address of each kind, with the program that tries it."""
    own = f"trioserver-{os.getpid()}"
    return {
        "tcp://localhost:0": "nc",
        "udp://localhost:0": "nc",
        "udp://[::1]:0": "nc",
        "unix:x.sock": "nc",
        "unixgram:x.sock": "nc",
        f"unix:@{own}": "socat",
        f"unixgram:@{own}": "socat",
    }


@pytest.mark.parametrize(
    "bind",
    [
        pytest.param(bind, id=bind.partition("-")[0])
        for bind, client in addresses().items()
        if shutil.which(client)
    ],
)
async def test_can_be_tried_as_it_says(tmp_path: Path, bind: str) -> None:
    async with serving(tmp_path, bind) as lines:
        _, _, command = lines[1].partition(": ")
        reply = await answer_of(shlex.split(command), tmp_path)

    assert lines[0].startswith(f"Serving the upper-casing example on {bind[:-1]}")
    assert reply == b"HELLO\n"
    assert names_in(tmp_path) == []


async def test_serves_addresses_of_every_kind_at_once(tmp_path: Path) -> None:
    binds = ["tcp://localhost:0", "udp://localhost:0", "unix:a?mode=660", "unixgram:b"]

    async with serving(tmp_path, *binds) as lines:
        names = names_in(tmp_path)
        modes = [(tmp_path / name).stat().st_mode & 0o777 for name in names]

    schemes = [line.split()[-1].partition(":")[0] for line in lines[:4]]
    assert schemes == ["tcp", "udp", "unix", "unixgram"]
    assert len(lines) == 9
    assert names == ["a", "b"]
    assert modes == [0o660, 0o600]
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("handler", "bind", "complaint"),
    [
        ("Stream", "udp://localhost:0", "handlers:Stream is for streams"),
        ("Stream", "unixgram:x", "and unixgram:x receives datagrams"),
        ("Datagram", "unix:x", "derive it from StreamRequestHandler"),
    ],
)
def test_refuses_a_handler_of_the_wrong_kind(
    handler: str,
    bind: str,
    complaint: str,
    *,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "handlers", raising=False)
    (tmp_path / "handlers.py").write_text(HANDLERS)

    exit_code = main(["serve", f"handlers:{handler}", f"--bind={bind}"])

    errors = capsys.readouterr().err
    assert exit_code == 2
    assert complaint in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_says_who_has_the_path(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_text("precious")

    exit_code = main(["serve", "--bind=unix:y", "--bind=unix:x"])

    assert exit_code == 1
    assert capsys.readouterr().err == (
        "trioserver: cannot bind 'x': there is a file, and nothing is replaced but a "
        "socket that nobody uses: remove it, or choose another path\n"
    )
    assert names_in(tmp_path) == ["x"]
