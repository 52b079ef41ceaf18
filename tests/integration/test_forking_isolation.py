"""What a child shares with its parent, and what it does not."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from kit.forks import Handler, Told, is_alive, meet, receive_pid, told_by_child
from kit.serving import (
    LOOPBACK,
    STUCK,
    UpperHandler,
    ask,
    connect,
    eventually,
    receive_all,
    receive_line,
    serving,
)
from trioserver import Connection, ForkingTCPServer, TCPServer
from trioserver._testing.leaks import open_descriptors

# Descriptors


def wait_for_an_end(request: socket.socket, *_: object) -> None:
    request.sendall(b"%d\n" % os.getpid())
    request.recv(1)


async def wait_for_an_end_with_trio(request: Connection, *_: object) -> None:
    await request.send_all(b"%d\n" % os.getpid())
    await request.receive_some(1)


both_kinds = pytest.mark.parametrize(
    "handler", [wait_for_an_end, wait_for_an_end_with_trio]
)


@both_kinds
async def test_other_clients_get_their_end_of_file_while_a_child_lives(
    handler: Handler,
) -> None:
    async with (
        serving(TCPServer(LOOPBACK, UpperHandler)) as other,
        serving(ForkingTCPServer(LOOPBACK, handler)) as server,
        await connect(other) as neighbour,
        await connect(server) as brother,
        await connect(server) as client,
    ):
        # All are connected before the last child is forked.
        await ask(neighbour, b"hello\n")
        await receive_line(brother)
        await receive_line(client)
        async with await connect(server) as last:
            pid = await receive_pid(last)
            for leaving in (neighbour, brother, client):
                await leaving.send_eof()
                assert await receive_all(leaving) == b""
            assert is_alive(pid)
            await last.send_eof()


@both_kinds
async def test_a_closed_port_refuses_while_a_child_lives(handler: Handler) -> None:
    other = TCPServer(LOOPBACK, UpperHandler)
    server = ForkingTCPServer(LOOPBACK, handler)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            await nursery.start(other.serve)
            async with await connect(server) as client:
                pid = await receive_pid(client)
                nursery.start_soon(server.server_close)
                await other.server_close()
                await eventually(lambda: server.fileno() == -1)
                for closed in (server, other):
                    with pytest.raises(ConnectionRefusedError):
                        await connect(closed)
                assert is_alive(pid)
                await client.send_eof()


def tell_descriptors(request: socket.socket, *_: object) -> None:
    told = {"request": request.fileno(), "all": open_descriptors()}
    request.sendall(json.dumps(told).encode())


async def told_beside_others(opened: dict[int, str]) -> Told:
    """Return what a child says while there are other clients and another server.

    What the application opens meanwhile, its clients among it, is added to *opened*.
    """
    async with (
        serving(TCPServer(LOOPBACK, UpperHandler)) as other,
        serving(ForkingTCPServer(LOOPBACK, tell_descriptors)) as server,
        await connect(other) as neighbour,
        await connect(server) as client,
    ):
        await ask(neighbour, b"hello\n")
        here = open_descriptors()
        for number in (neighbour.socket.fileno(), client.socket.fileno()):
            opened[number] = here[number]
        await client.send_eof()
        told = json.loads(await receive_all(client))
        await neighbour.send_eof()
    return told


def test_a_child_has_its_request_and_what_the_application_has_opened() -> None:
    opened = open_descriptors()

    told = trio.run(told_beside_others, opened)

    in_child = {int(number): what for number, what in told["all"].items()}
    assert in_child.pop(told["request"]).startswith("socket:")
    assert in_child == opened


async def test_an_asynchronous_handler_has_but_its_own_epoll_object() -> None:
    async def tell(request: Connection, *_: object) -> None:
        kinds = [kind for kind in open_descriptors().values() if "eventpoll" in kind]
        await request.send_all(b"%d" % len(kinds))

    here = sum("eventpoll" in kind for kind in open_descriptors().values())
    async with serving(ForkingTCPServer(LOOPBACK, tell)) as server:
        assert await meet(server) == b"%d" % here


async def test_a_child_that_reads_from_its_own_sockets_wakes_nobody_here() -> None:
    """The parent's epoll object is not touched: its own waits go on."""
    async with (
        serving(ForkingTCPServer(LOOPBACK, wait_for_an_end_with_trio)) as server,
        serving(TCPServer(LOOPBACK, UpperHandler)) as other,
        await connect(other) as neighbour,
    ):
        for number in range(3):
            async with await connect(server) as client:
                await receive_pid(client)
                assert await ask(neighbour, b"a%d\n" % number) == b"A%d\n" % number
                await client.send_eof()
                await receive_all(client)
            assert await ask(neighbour, b"b%d\n" % number) == b"B%d\n" % number


async def test_files_of_a_socket_do_not_keep_it_open_in_a_child() -> None:
    """As a thread of another server may have made them."""
    async with serving(TCPServer(LOOPBACK, UpperHandler)) as other:
        async with await connect(other) as neighbour:
            await ask(neighbour, b"hello\n")
            (connection,) = [running.request for running in other._requests._live]
            with connection.socket.makefile("rb"):
                number = connection.socket.fileno()
                is_open = await told_by_child(
                    lambda: (
                        "socket" in open_descriptors().get(number, "")
                        and connection.socket.fileno() != -1
                    )
                )

    assert not is_open


async def test_a_child_waits_for_its_request_by_itself() -> None:
    """Although the parent has waited for it before."""

    class Server(ForkingTCPServer):
        async def verify_request(self, request: Connection, _: object) -> bool:
            accepted.set()
            return await request.receive_some(1) == b"a"

    async def echo(request: Connection, *_: object) -> None:
        await request.send_all(b"%d\n" % os.getpid())
        await request.send_all(await request.receive_some())

    accepted = trio.Event()
    async with serving(Server(LOOPBACK, echo)) as server:
        async with await connect(server) as client:
            await accepted.wait()
            await trio.testing.wait_all_tasks_blocked()
            await client.send_all(b"a")
            await receive_pid(client)
            await client.send_all(b"b\n")
            assert await receive_line(client) == b"b\n"
            await client.send_eof()


# Signals


@contextmanager
def handling(number: signal.Signals, handler: signal._HANDLER) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


async def test_a_child_has_the_signal_handlers_of_a_new_program() -> None:
    def tell() -> Told:
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
        return [str(signal.getsignal(number)) for number in numbers]

    with (
        handling(signal.SIGTERM, signal.SIG_IGN),
        handling(signal.SIGUSR1, signal.SIG_IGN),
        handling(signal.SIGUSR2, print),
    ):
        told = await told_by_child(tell)

    default, ignored = str(signal.SIG_DFL), str(signal.SIG_IGN)
    assert told == [str(signal.default_int_handler), default, ignored, default]


async def test_a_child_ignores_ctrl_c_if_its_parent_does() -> None:
    with handling(signal.SIGINT, signal.SIG_IGN):
        told = await told_by_child(lambda: str(signal.getsignal(signal.SIGINT)))

    assert told == str(signal.SIG_IGN)


async def test_an_asynchronous_child_ignores_ctrl_c_if_its_parent_does() -> None:
    async def insist(request: Connection, *_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await trio.testing.wait_all_tasks_blocked()
        await request.send_all(b"still here")

    with handling(signal.SIGINT, signal.SIG_IGN):
        async with serving(ForkingTCPServer(LOOPBACK, insist)) as server:
            assert await meet(server) == b"still here"


async def test_a_child_has_no_wakeup_descriptor_and_blocks_no_signal() -> None:
    def tell() -> Told:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        return [signal.set_wakeup_fd(-1), len(mask)]

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        told = await told_by_child(tell)
        here = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})

    assert told == [-1, 0]
    assert here == {signal.SIGUSR1}


async def test_a_signal_to_a_child_is_not_one_to_its_parent() -> None:
    def interrupt() -> Told:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return "interrupted"

    assert await told_by_child(interrupt) == "interrupted"


# Standard streams and garbage


async def test_buffers_are_written_once_and_a_childs_words_are_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handle(*_: object) -> None:
        sys.stdout.write("child ")

    path = tmp_path / "stdout"
    with path.open("w") as stdout, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        stdout.write("parent ")
        async with serving(ForkingTCPServer(LOOPBACK, handle)) as server:
            await meet(server)
            await meet(server)

    assert path.read_text() == "parent child child "


async def test_a_stream_that_is_closed_or_missing_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "stdout").open("w") as closed:
        pass
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", closed)
        patch.setattr(sys, "stderr", None)
        assert await told_by_child(lambda: "fine") == "fine"


async def test_a_finalizer_of_the_parents_garbage_does_not_run_in_a_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Garbage:
        def __init__(self) -> None:
            self.itself = self  # a cycle, which only the collector finds

        def __del__(self) -> None:
            with (tmp_path / "journal").open("a") as file:
                file.write(f"{os.getpid()}\n")

    def fork(fork: Callable[[], int] = os.fork) -> int:
        Garbage()
        # As functions given to os.register_at_fork() might.
        return fork() or collect_by_need()

    monkeypatch.setattr(os, "fork", fork)
    await told_by_child(gc.collect)

    gc.collect()
    assert (tmp_path / "journal").read_text() == f"{os.getpid()}\n"


def collect_by_need() -> int:
    """Make the collector run, if it does that by itself."""
    objects: list[list[int]] = [[] for _ in range(10 * gc.get_threshold()[0])]
    return 0 * len(objects)


@pytest.mark.parametrize("collects", [True, False])
async def test_collecting_goes_on_in_both_processes_as_it_was(
    collects: bool,
) -> None:
    if not collects:
        gc.disable()
    try:
        child = await told_by_child(gc.isenabled)
        assert (child, gc.isenabled()) == (collects, collects)
    finally:
        gc.enable()
