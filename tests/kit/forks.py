"""Serve with child processes, and let them tell what it is like in there."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import trio

from kit.serving import LOOPBACK, connect, receive_all, serving
from trioserver import ForkingTCPServer, TCPServer

# What JSON can say.
Told: TypeAlias = Any  # type: ignore[explicit-any]  # see above

# A handler of either kind, and what a test may ask in a child.
Handler: TypeAlias = Callable[..., object]  # type: ignore[explicit-any]  # see above


async def told_by_child(
    question: Callable[[], object], server: type[ForkingTCPServer] = ForkingTCPServer
) -> Told:
    """Return what *question* returns in a child, in the thread that was forked."""
    async with serving(server(LOOPBACK, partial(_tell, question))) as running:
        return json.loads(await meet(running))


def _tell(
    question: Callable[[], object],
    request: socket.socket,
    _client_address: object,
    _server: object,
) -> None:
    request.sendall(json.dumps(question()).encode())


async def meet(server: TCPServer, sends: bytes = b"") -> bytes:
    """Connect, send something and an end-of-file, and return all that comes back."""
    async with await connect(server) as client:
        await client.send_all(sends)
        await client.send_eof()
        return await receive_all(client)


def is_alive(pid: int) -> bool:
    """Whether there is a process *pid*, and it is no zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


async def receive_pid(client: trio.abc.ReceiveStream) -> int:
    """Return the number that a child has sent as a line."""
    line = b""
    while not line.endswith(b"\n"):
        line += await client.receive_some(1)
    return int(line)


def fork_and_exit(code: int) -> int:
    """Return the number of a child that exits with *code* at once."""
    # On one line: what a child does in a frame from before the fork is not measured.
    return os.fork() or os._exit(code)


def reap_here(pid: int) -> int:
    """Reap a child, as somebody who knows nothing of Trio. Return its exit code."""
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)
