"""Servers on Unix sockets, and those that talk to them."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import trio

from kit.programs import environment
from kit.serving import STUCK
from trioserver import StreamRequestHandler, UnixStreamServer


class NameHandler(StreamRequestHandler):
    """Says which server it belongs to."""

    server: NamedServer

    async def handle(self) -> None:
        await self.wfile.write(self.server.name)


class NamedServer(UnixStreamServer):
    """A server that can be told from another one at the same path."""

    def __init__(self, path: Path, name: bytes) -> None:
        self.name = name
        super().__init__(path, NameHandler)


def ask_name(path: Path) -> bytes:
    """Return the name of the server at *path*, asked as a blocking client asks."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(STUCK)
        sock.connect(str(path))
        return sock.recv(100)


def leave_stale(path: Path) -> None:
    """Leave the file of a server that has died."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def names_in(directory: Path) -> list[str]:
    """Return what is in *directory*, hidden files too."""
    return sorted(path.name for path in directory.iterdir())


async def run_program(text: str, *arguments: object, directory: Path) -> list[str]:
    """Run a Python program in *directory*, and return the lines that it prints.

    However it ends, by a signal too.
    """
    with trio.fail_after(STUCK):
        done = await trio.run_process(
            [sys.executable, "-c", text, *map(str, arguments)],
            capture_stdout=True,
            check=False,
            cwd=directory,
            env=environment(),
        )
    return done.stdout.decode().splitlines()


# Some other user than the one that runs the tests, if that one may choose: "nobody".
OTHER_UID = 65534 if os.getuid() == 0 else os.getuid()
