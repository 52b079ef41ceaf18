"""Told to stop at any moment, a stream server answers every request it accepted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import trio

from kit.moments import SAMPLE
from kit.serving import LOOPBACK, UpperHandler, ask, connect, receive_line
from kit.threads import UpperThreadHandler
from trioserver import TCPServer, ThreadingTCPServer, UnixStreamServer
from trioserver.testing import Kind, Trial, cancel_everywhere

SERVERS: dict[str, Callable[[Path], TCPServer]] = {
    "TCP": lambda _: TCPServer(LOOPBACK, UpperHandler),
    "Unix": lambda path: UnixStreamServer(str(path / "socket"), UpperHandler),
    "threads": lambda _: ThreadingTCPServer(LOOPBACK, UpperThreadHandler),
}


async def converse(trial: Trial, server: TCPServer) -> None:
    """Ask twice, and once more ahead of the reply."""
    async with trial.add_client(await connect(server)) as client:
        for _ in range(2):
            assert await ask(client, b"hello\n") == b"HELLO\n"
        await client.send_all(b"one\ntwo\n")
        assert await receive_line(client) == b"ONE\n"
        assert await receive_line(client) == b"TWO\n"


async def play(make_server: Callable[[], TCPServer], limit: int, trial: Trial) -> None:
    server = make_server()
    server.max_concurrent_requests = limit
    async with trial.serving(server), trio.open_nursery() as clients:
        for _ in range(3):
            clients.start_soon(trial.visit, converse, trial, server)


@pytest.mark.proof
@pytest.mark.parametrize("by", ["shutdown", "close", "reset"])
@pytest.mark.parametrize("limit", [1, 10])
@pytest.mark.parametrize("name", SERVERS)
def test_loses_no_reply(name: str, limit: int, by: Kind, tmp_path: Path) -> None:
    scenario = partial(play, partial(SERVERS[name], tmp_path), limit)

    cancel_everywhere(scenario, by=by, sample=SAMPLE, paths=[tmp_path]).check()
