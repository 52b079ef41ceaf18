"""Clients that reset their connections at random moments."""

from __future__ import annotations

import random
import socket
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio

from soak.loads.connecting import connect, reset
from soak.processes import Value

# Connections at a time.
WIDTH: Final = 60


def _nothing(sock: socket.socket) -> None:
    """Be only connected."""


def _half_a_line(sock: socket.socket) -> None:
    sock.send(b"half a li")


def _line(sock: socket.socket) -> None:
    sock.send(b"line\n")


def _many_lines(sock: socket.socket) -> None:
    sock.send(b"line\n" * 500)


def _big_reply(sock: socket.socket) -> None:
    sock.send(b"big\n")


def _end(sock: socket.socket) -> None:
    sock.send(b"line\n")
    sock.shutdown(socket.SHUT_WR)


def _failing(sock: socket.socket) -> None:
    sock.send(b"more\nand a half")


def _read(sock: socket.socket) -> None:
    sock.recv(1000)


BEGINNINGS: Final[tuple[Callable[[socket.socket], None], ...]] = (
    _nothing,
    _half_a_line,
    _line,
    _many_lines,
    _big_reply,
    _end,
    _failing,
)


async def reset_many(address: Value, count: int, seed: int) -> Value:
    """Open *count* connections, and reset each of them at a random moment."""
    chance = random.Random(seed)  # noqa: S311  # to be repeated, not to be secret
    waiting: deque[socket.socket] = deque()
    done: Counter[str] = Counter()
    for _ in range(count):
        with suppress(OSError):
            sock = connect(address)
            begin = chance.choice(BEGINNINGS)
            done[begin.__name__] += 1
            with suppress(OSError):
                begin(sock)
            waiting.append(sock)
        # Some at once, and some after a while.
        waiting.rotate(chance.randrange(WIDTH))
        while len(waiting) > chance.randrange(1, WIDTH):
            _end_one(waiting.popleft(), chance)
        if chance.random() < 0.2:
            await trio.lowlevel.checkpoint()
    for sock in waiting:
        _end_one(sock, chance)
    return {"opened": done.total()}


def _end_one(sock: socket.socket, chance: random.Random) -> None:
    with suppress(OSError):
        if chance.random() < 0.3:
            _read(sock)
    if chance.random() < 0.9:
        reset(sock)
    else:
        sock.close()
