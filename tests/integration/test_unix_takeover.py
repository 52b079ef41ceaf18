"""One server takes the place of another one, and no client notices."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from kit.serving import STUCK, UpperHandler, ask, connect, serving
from kit.unix_sockets import NamedServer, ask_name, names_in
from trioserver import UnixStreamServer

REFUSED = b"refused: "
"""What a visitor is told who meets nobody."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.sock"


@contextlib.contextmanager
def visitor(path: Path) -> Iterator[list[bytes]]:
    """Let a client connect again and again; yield what it has been told."""
    replies: list[bytes] = []
    is_over = threading.Event()

    def visit() -> None:
        while not is_over.is_set():
            try:
                replies.append(ask_name(path))
            except OSError as error:
                replies.append(REFUSED + repr(error).encode())

    thread = threading.Thread(target=visit)
    thread.start()
    try:
        yield replies
    finally:
        is_over.set()
        thread.join(STUCK)


async def until_told(replies: list[bytes], name: bytes) -> None:
    """Wait until the visitor has met *name*, or has been `REFUSED`."""
    await trio.to_thread.run_sync(_wait_until_told, replies, name)


def _wait_until_told(replies: list[bytes], name: bytes) -> None:
    deadline = time.monotonic() + STUCK
    while not any(reply.startswith(name) for reply in replies[-1:]):
        assert time.monotonic() < deadline, replies[-1:]
        threading.Event().wait(0.001)


async def test_no_client_is_refused_while_a_successor_takes_over(path: Path) -> None:
    class Successor(NamedServer):
        allow_takeover = True

    names = [b"server %d" % number for number in range(5)]
    with trio.fail_after(STUCK), visitor_of_first(path) as (first, replies):
        async with trio.open_nursery() as nursery:
            await nursery.start(first.serve)
            await until_told(replies, first.name)
            predecessor = first
            for name in names[1:]:
                successor = Successor(path, name)
                await nursery.start(successor.serve)
                await until_told(replies, name)
                await predecessor.shutdown()
                predecessor = successor
            await until_told(replies, names[-1])
            stopped = len(replies)
            nursery.cancel_scope.cancel()
        await until_told(replies, REFUSED)

    assert set(replies[:stopped]) <= {b"server 0", *names}
    assert names_in(path.parent) == []


@contextlib.contextmanager
def visitor_of_first(path: Path) -> Iterator[tuple[NamedServer, list[bytes]]]:
    first = NamedServer(path, b"server 0")
    with visitor(path) as replies:
        yield first, replies


async def test_a_predecessor_goes_on_with_the_clients_that_it_has(path: Path) -> None:
    class Successor(UnixStreamServer):
        allow_takeover = True

    async with serving(UnixStreamServer(path, UpperHandler)) as predecessor:
        async with await connect(predecessor) as client:
            assert await ask(client, b"before\n") == b"BEFORE\n"
            with Successor(path, UpperHandler):
                assert await ask(client, b"after\n") == b"AFTER\n"
                with predecessor:
                    pass
                assert names_in(path.parent) == ["x.sock"]
