"""Try the clients on servers that answer wrongly, before they are believed."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import attrs

from benchmarks.load_process import Load, LoadError


@attrs.frozen
class Liar:
    """A server in this process."""

    port: int
    pid: int = attrs.field(factory=os.getpid)


# What they do to a line. The clients have to complain about each of them.
LIES: Final[dict[str, Callable[[bytes], bytes]]] = {
    "one bit is wrong": lambda line: line[:-2] + bytes([line[-2] ^ 1, line[-1]]),
    "one byte is missing": lambda line: line[1:],
    "one byte is too much": lambda line: line + b"!",
    "the end comes early": lambda line: line[:0],
}


def check_honesty(load: Load) -> None:
    """Make sure that the clients accept right replies, and nothing else."""
    _ask(load, lambda line: line)
    for name, lie in LIES.items():
        try:
            _ask(load, lie)
        except LoadError:
            continue
        message = f"the clients have not noticed that {name}"
        raise LoadError(message)


def _ask(load: Load, change: Callable[[bytes], bytes]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(target=_answer, args=(listener, change))
        answering.start()
        try:
            liar = Liar(listener.getsockname()[1])
            load.run("lines", liar, seconds=0.01, warm_up=0)
        finally:
            answering.join()


def _answer(listener: socket.socket, change: Callable[[bytes], bytes]) -> None:
    """Serve one client, until it has been told a lie: the second reply, or none."""
    connection, _ = listener.accept()
    # A client that has understood leaves without a word.
    with suppress(ConnectionError), connection, connection.makefile("rb") as lines:
        connection.sendall(lines.readline())
        for line in lines:
            reply = change(line)
            connection.sendall(reply)
            if reply != line:
                return
