"""Which hooks run in the parent and which in the child, and in what order."""

from __future__ import annotations

import inspect
import os
import socket
import socketserver
from pathlib import Path
from typing import NoReturn

import attrs
import pytest
import trio

from kit.forks import reap_here
from kit.serving import LOOPBACK, STUCK, connect, receive_all
from parity.libraries import SOCKETSERVER, TRIOSERVER, Either, Function

SERVER_HOOKS = (
    "verify_request",
    "process_request",
    "finish_request",
    "handle_error",
    "shutdown_request",
    "close_request",
)
HANDLER_HOOKS = ("setup", "handle", "finish")


@attrs.frozen
class PlacesJournal:
    """Notes in a file what is called where."""

    path: Path
    parent: int = attrs.field(factory=os.getpid)

    def recording(self, base: Either, hooks: tuple[str, ...]) -> Either:
        """Return a class derived from *base* that notes the calls of *hooks*."""
        class_ = type("Recording", (base,), {})
        for hook in hooks:
            setattr(class_, hook, self._recorded(hook, class_))
        return class_

    def entries(self) -> dict[str, list[str]]:
        """Return what was called in each process."""
        lines = [line.split() for line in self.path.read_text().splitlines()]
        return {
            place: [hook for where, hook in lines if where == place]
            for place in ("parent", "child")
        }

    def _recorded(self, hook: str, class_: type) -> Function:
        if inspect.iscoroutinefunction(getattr(class_, hook)):

            async def asynchronous(owner: Either, *arguments: Either) -> Either:
                self._note(hook)
                return await getattr(super(class_, owner), hook)(*arguments)

            return asynchronous

        def synchronous(owner: Either, *arguments: Either) -> Either:
            self._note(hook)
            return getattr(super(class_, owner), hook)(*arguments)

        return synchronous

    def _note(self, hook: str) -> None:
        place = "parent" if os.getpid() == self.parent else "child"
        with self.path.open("a") as file:
            file.write(f"{place} {hook}\n")


class Upper(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(self.rfile.readline().upper())


class Failing(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        raise LookupError


class FailingEarly(socketserver.StreamRequestHandler):
    def setup(self) -> None:
        raise LookupError


class Exiting(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        raise SystemExit


def make_server(library: Either, handler: type, path: Path) -> tuple[Either, Either]:
    journal = PlacesJournal(path)
    server = journal.recording(library.class_("ForkingTCPServer"), SERVER_HOOKS)
    return server(LOOPBACK, journal.recording(handler, HANDLER_HOOKS)), journal


def play_theirs(handler: type, path: Path, replies: int) -> NoReturn:
    """Play in a process of its own: it waits for any child that there is."""
    server, _ = make_server(SOCKETSERVER, handler, path)
    server.block_on_close = True
    with socket.create_connection(server.server_address, STUCK) as client:
        client.sendall(b"hello\n")
        server.handle_request()
        os.write(replies, client.recv(100))
    server.server_close()
    os._exit(0)


def theirs(handler: type, path: Path) -> tuple[bytes, dict[str, list[str]]]:
    reader, writer = os.pipe()
    pid = os.fork() or play_theirs(handler, path, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as replies:
        reply = replies.read()
    assert reap_here(pid) == 0
    return reply, PlacesJournal(path).entries()


async def ours(handler: type, path: Path) -> tuple[bytes, dict[str, list[str]]]:
    server, journal = make_server(TRIOSERVER, handler, path)
    with trio.fail_after(STUCK):
        async with await connect(server) as client:
            await client.send_all(b"hello\n")
            await client.send_eof()
            await server.handle_request()
            reply = await receive_all(client)
        await server.server_close()
    return reply, journal.entries()


@pytest.mark.parametrize("handler", [Upper, Failing, FailingEarly, Exiting])
def test_hooks_run_in_the_same_order_and_in_the_same_process(
    handler: type, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = theirs(handler, tmp_path / "theirs")

    assert trio.run(ours, handler, tmp_path / "ours") == expected
    assert expected[1]["parent"] == [
        "verify_request",
        "process_request",
        "close_request",
    ]
