"""The command line, as people and process managers use it."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

import trioserver
from kit.layers import run_module
from kit.serving import STUCK, ask, receive_all, receive_line
from trioserver._cli.main import main

# Each test starts an interpreter.
pytestmark = pytest.mark.slow

CHAT = """
import trioserver

class ChatHandler(trioserver.StreamRequestHandler):
    async def handle(self):
        async for line in self.rfile:
            if line == b"die\\n":
                raise SystemExit("told to")
            await self.wfile.write(b"heard " + line)
"""

# The package may be installed, or found in a checkout that is the current directory.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(trioserver.__file__).parents[1])}

ANY_PORT = ("--bind", "tcp://localhost:0")


@attrs.frozen
class Program:
    """The program while it runs, with its output as it comes."""

    process: trio.Process
    stdout: trio.abc.ReceiveStream
    stderr: trio.abc.ReceiveStream

    async def line(self) -> str:
        return (await receive_line(self.stdout)).decode()

    async def announcement(self) -> str:
        """Return what it says up to the line about Ctrl-C, when it is ready."""
        lines = [await self.line()]
        while lines[-1] and "Ctrl-C" not in lines[-1]:
            lines.append(await self.line())
        return "".join(lines)

    async def end(self) -> tuple[int, str]:
        """Wait for its end, and return the exit code and what is on stderr."""
        errors = await receive_all(self.stderr)
        return await self.process.wait(), errors.decode()


@asynccontextmanager
async def program(directory: Path, *arguments: str) -> AsyncIterator[Program]:
    """Run ``trioserver serve`` in *directory*; it does not outlive the block."""
    (directory / "chat.py").write_text(CHAT)
    with trio.fail_after(STUCK):
        process = await trio.lowlevel.open_process(
            [*run_module("trioserver"), "serve", *arguments],
            cwd=directory,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        async with process.stdout, process.stderr:
            try:
                yield Program(process, process.stdout, process.stderr)
                process.terminate()
                await process.wait()
            finally:
                process.kill()
                with trio.CancelScope(shield=True):
                    await process.wait()


def ports(announcement: str) -> list[int]:
    return [int(port) for port in re.findall(r" on tcp://.*:(\d+)\n", announcement)]


async def connect(announcement: str, host: str = "127.0.0.1") -> trio.SocketStream:
    """Connect to the first port that was announced."""
    return await trio.open_tcp_stream(host, ports(announcement)[0])


def free_port() -> int:
    """Return a port that is free on every address of this machine."""
    with socket.create_server(
        ("::", 0), family=socket.AF_INET6, dualstack_ipv6=True
    ) as sock:
        port: int = sock.getsockname()[1]
        return port


# Serving


async def test_serves_the_example_and_says_how_to_try_it(tmp_path: Path) -> None:
    async with program(tmp_path, *ANY_PORT) as running:
        announcement = await running.announcement()
        async with await connect(announcement) as client:
            reply = await ask(client, b"hello\n")

    (port,) = ports(announcement)
    assert announcement == (
        f"Serving the upper-casing example on tcp://localhost:{port}\n"
        f"To try it, type in another terminal: nc localhost {port}\n"
        "To stop it, press Ctrl-C here\n"
    )
    assert reply == b"HELLO\n"


async def test_serves_a_handler_from_the_current_directory(tmp_path: Path) -> None:
    async with program(tmp_path, "chat:ChatHandler", *ANY_PORT) as running:
        announcement = await running.announcement()
        async with await connect(announcement) as client:
            reply = await ask(client, b"hello\n")

    assert announcement.startswith("Serving chat:ChatHandler on tcp://localhost:")
    assert reply == b"heard hello\n"


async def test_serves_on_several_addresses(tmp_path: Path) -> None:
    async with program(tmp_path, *ANY_PORT, "--bind", "tcp://127.0.0.1:0") as running:
        found = ports(await running.announcement())
        replies = []
        for port in found:
            async with await trio.open_tcp_stream("127.0.0.1", port) as client:
                replies.append(await ask(client, b"hello\n"))
        running.process.send_signal(signal.SIGTERM)
        exit_code, _ = await running.end()

    assert len(set(found)) == 2
    assert replies == [b"HELLO\n", b"HELLO\n"]
    assert exit_code == 0


async def test_serves_on_ipv6(tmp_path: Path) -> None:
    async with program(tmp_path, "--bind", "tcp://[::1]:0") as running:
        announcement = await running.announcement()
        async with await connect(announcement, "::1") as client:
            reply = await ask(client, b"hello\n")

    assert announcement.startswith("Serving the upper-casing example on tcp://[::1]:")
    assert reply == b"HELLO\n"


async def test_serves_every_ipv4_and_every_ipv6_address_on_one_port(
    tmp_path: Path,
) -> None:
    port = free_port()
    binds = ("--bind", f"tcp://[::]:{port}", "--bind", f"tcp://0.0.0.0:{port}")

    async with program(tmp_path, *binds) as running:
        announcement = await running.announcement()
        async with await connect(announcement, "::1") as client:
            ipv6_reply = await ask(client, b"six\n")
        async with await connect(announcement, "127.0.0.1") as client:
            ipv4_reply = await ask(client, b"four\n")

    assert (ipv6_reply, ipv4_reply) == (b"SIX\n", b"FOUR\n")


async def test_goes_on_serving_when_nobody_reads_what_it_says(tmp_path: Path) -> None:
    async with program(tmp_path, *ANY_PORT) as running:
        announcement = await running.announcement()
        await running.stdout.aclose()
        async with await connect(announcement) as client:
            await ask(client, b"hello\n")
            running.process.send_signal(signal.SIGTERM)
            # Requests are let finish, although the line about them went nowhere.
            reply = await ask(client, b"bye\n")
        ended = await running.end()

    assert reply == b"BYE\n"
    assert ended == (0, "")


# Stopping


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_stops_at_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    async with program(tmp_path, *ANY_PORT) as running:
        await running.announcement()
        running.process.send_signal(number)
        line = await running.line()
        ended = await running.end()

    assert line == f"{number.name}: stopping; no request is running\n"
    assert ended == (0, "")


async def test_lets_a_request_finish_after_a_signal(tmp_path: Path) -> None:
    async with program(tmp_path, *ANY_PORT) as running:
        async with await connect(await running.announcement()) as client:
            await ask(client, b"hello\n")
            running.process.send_signal(signal.SIGTERM)
            line = await running.line()
            reply = await ask(client, b"bye\n")
        ended = await running.end()

    assert "waiting for 1 request to finish, at most 10 s; a second signal" in line
    assert reply == b"BYE\n"
    assert ended == (0, "")


@pytest.mark.parametrize(
    ("second", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
async def test_stops_at_once_at_a_second_signal(
    tmp_path: Path, second: signal.Signals, exit_code: int
) -> None:
    async with program(tmp_path, *ANY_PORT, "--drain", "inf") as running:
        async with await connect(await running.announcement()) as client:
            await ask(client, b"hello\n")
            running.process.send_signal(signal.SIGTERM)
            await running.line()
            running.process.send_signal(second)
            rest = await receive_all(client)
        ended = await running.end()

    assert rest == b""
    assert ended == (exit_code, "")


async def test_cancels_requests_at_the_first_signal_without_a_drain(
    tmp_path: Path,
) -> None:
    async with program(tmp_path, *ANY_PORT, "--drain", "0") as running:
        async with await connect(await running.announcement()) as client:
            await ask(client, b"hello\n")
            running.process.send_signal(signal.SIGTERM)
            line = await running.line()
            rest = await receive_all(client)
        exit_code, _ = await running.end()

    assert line == "SIGTERM: stopping at once; 1 request cancelled\n"
    assert rest == b""
    assert exit_code == 0


async def test_stops_the_other_servers_when_one_dies(tmp_path: Path) -> None:
    async with program(tmp_path, "chat:ChatHandler", *ANY_PORT, *ANY_PORT) as running:
        found = ports(await running.announcement())
        async with (
            await trio.open_tcp_stream("127.0.0.1", found[0]) as witness,
            await trio.open_tcp_stream("127.0.0.1", found[1]) as client,
        ):
            await ask(witness, b"hello\n")
            await client.send_all(b"die\n")
            await client.send_eof()  # or the server would linger
            rest = await receive_all(witness)
        exit_code, errors = await running.end()

    assert rest == b""
    assert exit_code == 1
    assert errors == (
        f"trioserver: the server on tcp://localhost:{found[1]} has died: "
        "SystemExit: told to; --log-level debug shows the traceback\n"
    )


# Not starting


async def test_shows_the_traceback_only_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0")

    async with program(tmp_path, "broken:Handler") as quiet:
        quiet_exit_code, brief = await quiet.end()
    async with program(tmp_path, "broken:Handler", "--log-level", "debug") as verbose:
        verbose_exit_code, full = await verbose.end()

    assert quiet_exit_code == verbose_exit_code == 1
    assert brief == (
        "trioserver: the module 'broken' cannot be imported: ZeroDivisionError: "
        f"division by zero ({tmp_path / 'broken.py'}, line 1); "
        "--log-level debug shows the traceback\n"
    )
    assert "Traceback (most recent call last):" in full


async def test_ends_quietly_when_interrupted_before_it_serves(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import signal; signal.raise_signal(2)")

    async with program(tmp_path, "slow:Handler") as running:
        ended = await running.end()

    assert ended == (130, "")


async def test_ends_with_2_and_one_line_after_a_wrong_argument(tmp_path: Path) -> None:
    async with program(tmp_path, "--bind", "ftp://localhost:0") as running:
        exit_code, errors = await running.end()

    assert exit_code == 2
    assert re.fullmatch(r"trioserver: .*begins with none of tcp://.*\n", errors)


def test_says_what_to_do_when_the_port_is_taken(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        exit_code = main(["serve", "--bind", f"tcp://127.0.0.1:{port}"])

    errors = capsys.readouterr().err
    assert exit_code == 1
    assert re.fullmatch(
        rf"trioserver: cannot bind 127.0.0.1:{port}: .*: another program listens "
        r"there already; .*\n",
        errors,
    )


def test_closes_the_sockets_that_were_bound_before_one_failed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        first, second = port, taken.getsockname()[1]
        binds = [f"--bind=tcp://127.0.0.1:{number}" for number in (first, second)]
        exit_code = main(["serve", *binds])

    assert exit_code == 1
    assert f":{second}" in capsys.readouterr().err
    with socket.socket() as free:
        free.bind(("127.0.0.1", first))


@pytest.mark.parametrize(
    ("refusal", "remedy"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "a higher port"),
        (OSError(errno.EADDRNOTAVAIL, "Not available"), "this machine has no such"),
        (socket.gaierror(socket.EAI_NONAME, "Unknown"), "check the spelling"),
    ],
)
def test_says_what_to_do_when_the_system_refuses_the_address(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    refusal: OSError,
    remedy: str,
) -> None:
    # Which ports need a privilege, and who has it, differs between machines.
    def bind(*_arguments: object) -> None:
        raise refusal

    monkeypatch.setattr(socket.socket, "bind", bind)

    exit_code = main(["serve", "--bind", "tcp://localhost:80"])

    errors = capsys.readouterr().err
    assert exit_code == 1
    assert errors.startswith("trioserver: cannot ")
    assert remedy in errors
    assert errors.count("\n") == 1
