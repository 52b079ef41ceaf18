"""How children end with their server: joined, or told to end; and always reaped."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress

import pytest
import trio

import trioserver
from kit.forks import (
    Handler,
    fork_and_exit,
    is_alive,
    meet,
    reap_here,
    receive_pid,
)
from kit.serving import (
    LOOPBACK,
    STUCK,
    connect,
    eventually,
    receive_all,
    receive_line,
    serving,
)
from trioserver import Connection, ForkingTCPServer


def say_pid(request: socket.socket) -> int:
    return request.send(b"%d\n" % os.getpid())


def wait_for_an_end(request: socket.socket, *_: object) -> None:
    say_pid(request)
    request.recv(1)
    request.sendall(b"the end\n")


async def wait_for_an_end_with_trio(request: Connection, *_: object) -> None:
    await request.send_all(b"%d\n" % os.getpid())
    await request.receive_some(1)
    await request.send_all(b"the end\n")


# On one line, because what a killed child has done is not measured.
compute: Handler = lambda request, *_: say_pid(request) and sum(iter(int, 1))  # noqa: E731  # see above


ignore_sigterm: Handler = lambda request, *_: (  # noqa: E731  # see above
    signal.signal(signal.SIGTERM, signal.SIG_IGN),
    say_pid(request) and signal.sigwait({signal.SIGUSR1}),
)


class Tidy(trioserver.StreamRequestHandler):
    """Has a reply to send when it is cancelled."""

    wbufsize = -1

    async def handle(self) -> None:
        await self.wfile.write(b"tidy\n")
        await self.request.send_all(b"%d\n" % os.getpid())
        await trio.sleep_forever()


BOTH_KINDS = (wait_for_an_end, wait_for_an_end_with_trio)


class Stage:
    """A server with one child that runs, and a client."""

    def __init__(self, handler: Handler, **settings: object) -> None:
        # The child has the client, too, and would wait for an end that cannot come.
        settings = {"linger_timeout": 0, **settings}
        server_class = type("Server", (ForkingTCPServer,), settings)
        self.server: ForkingTCPServer = server_class(LOOPBACK, handler)
        self.pid = 0

    async def play(self, act: Callable[[trio.SocketStream], object]) -> bytes:
        """Serve, let a child begin, *act*, and return all that the client gets."""
        with trio.fail_after(STUCK):
            async with trio.open_nursery() as nursery:
                await nursery.start(self.server.serve)
                async with await connect(self.server) as client:
                    self.pid = await receive_pid(client)
                    acting = act(client)
                    if acting is not None:
                        await acting  # type: ignore[misc]  # as it comes
                    reply = b""
                    # A reset, if it was killed.
                    with suppress(trio.BrokenResourceError):
                        reply = await receive_all(client)
                    await self.server.shutdown()
        assert not is_alive(self.pid)
        assert not self.server.active_children
        return reply


@pytest.mark.parametrize("handler", BOTH_KINDS)
async def test_closing_joins_the_children(handler: Handler) -> None:
    stage = Stage(handler)

    async def close(client: trio.SocketStream) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.server.server_close)
            await eventually(lambda: stage.server.fileno() == -1)
            assert is_alive(stage.pid)
            await client.send_eof()

    assert await stage.play(close) == b"the end\n"


ENDINGS = {
    "block_on_close": {"block_on_close": False},
    "daemon_requests": {"daemon_requests": True},
    "drain_timeout": {"drain_timeout": 0},
}


@pytest.mark.parametrize("handler", [*BOTH_KINDS, compute, Tidy])
@pytest.mark.parametrize("settings", ENDINGS.values(), ids=ENDINGS)
async def test_closing_ends_the_children_if_it_shall_not_wait(
    settings: dict[str, object], handler: Handler, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "trioserver")
    stage = Stage(handler, **settings, cleanup_timeout=STUCK)

    reply = await stage.play(lambda _: stage.server.server_close())

    assert reply == (b"tidy\n" if handler is Tidy else b"")
    assert f"Child process {stage.pid}, for the request from" in caplog.text
    assert "was ended with SIGTERM" in caplog.text


async def test_a_child_that_ignores_sigterm_is_killed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage(ignore_sigterm, block_on_close=False, cleanup_timeout=0.01)

    assert await stage.play(lambda _: stage.server.server_close()) == b""

    assert "did not end when it was told to, and was killed" in caplog.text


@pytest.mark.parametrize("handler", [*BOTH_KINDS, compute])
async def test_a_cancellation_from_outside_ends_the_children(handler: Handler) -> None:
    server = ForkingTCPServer(LOOPBACK, handler)
    server.cleanup_timeout = STUCK
    server.linger_timeout = 0
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            async with await connect(server) as client:
                pid = await receive_pid(client)
                nursery.cancel_scope.cancel()

    assert not is_alive(pid)


@pytest.mark.parametrize("handler", BOTH_KINDS)
async def test_a_child_that_is_interrupted_ends(
    handler: Handler, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trioserver")
    stage = Stage(handler)

    assert await stage.play(lambda _: os.kill(stage.pid, signal.SIGINT)) == b""

    assert "ended with exit code 130: KeyboardInterrupt" in caplog.text


async def test_a_second_signal_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "trioserver")

    async def insist(request: Connection, *_: object) -> None:
        await request.send_all(b"%d\n" % os.getpid())
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await request.send_all(b"cancelled\n")
                await request.receive_some(1)

    stage = Stage(insist)

    async def terminate(client: trio.SocketStream) -> None:
        os.kill(stage.pid, signal.SIGTERM)
        assert await receive_line(client) == b"cancelled\n"
        os.kill(stage.pid, signal.SIGINT)
        await client.send_eof()

    assert await stage.play(terminate) == b""
    assert "ended with exit code 143: SIGTERM" in caplog.text


# Waiting, in all ways


def refuse_pidfd(*_: object) -> int:
    raise OSError


def refuse_threads(*_: object, **__: object) -> None:
    message = "can't start new thread"
    raise RuntimeError(message)


@pytest.mark.parametrize("handler", BOTH_KINDS)
async def test_a_thread_waits_where_there_is_no_descriptor_for_a_process(
    handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "pidfd_open", refuse_pidfd)
    stage = Stage(handler)

    assert await stage.play(lambda client: client.send_eof()) == b"the end\n"


async def test_a_thread_that_waits_is_no_obstacle_to_ending_the_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "pidfd_open", refuse_pidfd)
    stage = Stage(wait_for_an_end, block_on_close=False, cleanup_timeout=STUCK)

    assert await stage.play(lambda _: stage.server.server_close()) == b""


async def test_a_child_that_nothing_can_wait_for_is_one_requests_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(ForkingTCPServer(LOOPBACK, wait_for_an_end)) as server:
        with monkeypatch.context() as patch:
            patch.setattr(os, "pidfd_open", refuse_pidfd)
            patch.setattr(trio.lowlevel, "start_thread_soon", refuse_threads)
            async with await connect(server) as client:
                await eventually(lambda: "can't start new thread" in caplog.text)
                with suppress(trio.BrokenResourceError):
                    await receive_all(client)
        async with await connect(server) as client:
            await receive_pid(client)
            await client.send_eof()


async def test_a_child_that_somebody_else_has_reaped_is_not_waited_for_in_vain(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage(wait_for_an_end)

    async def reap(client: trio.SocketStream) -> None:
        await client.send_eof()
        reap_here(stage.pid)

    await stage.play(reap)

    assert "was reaped by somebody else" in caplog.text


async def test_ending_a_child_that_somebody_else_has_reaped_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "pidfd_open", refuse_pidfd)
    stage = Stage(wait_for_an_end, block_on_close=False)

    async def reap(client: trio.SocketStream) -> None:
        os.kill(stage.pid, signal.SIGKILL)
        reap_here(stage.pid)
        await stage.server.server_close()

    await stage.play(reap)


async def test_children_of_others_are_left_alone() -> None:
    """Like bpo-1540386: socketserver has reaped what was not its own."""
    other = fork_and_exit(72)
    async with serving(ForkingTCPServer(LOOPBACK, wait_for_an_end)) as server:
        await meet(server)
        await server.collect_children(blocking=True)

    assert reap_here(other) == 72


async def test_a_spurious_end_of_the_wait_is_no_end_of_the_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    early = [True]

    async def wait_readable(descriptor: int | socket.socket) -> None:
        if isinstance(descriptor, int) and early:
            early.clear()
        else:
            await original(descriptor)

    original = trio.lowlevel.wait_readable
    stage = Stage(wait_for_an_end)
    monkeypatch.setattr(trio.lowlevel, "wait_readable", wait_readable)
    assert await stage.play(lambda client: client.send_eof()) == b"the end\n"
    assert not early


# Threads


def warnings_of_a_fork() -> list[str]:
    async def main() -> None:
        async with serving(ForkingTCPServer(LOOPBACK, wait_for_an_end)) as server:
            await meet(server)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trio.run(main)
    return [str(warning.message) for warning in caught]


def test_idle_threads_of_trios_are_nothing_to_be_warned_of() -> None:
    async def use_a_thread() -> None:
        await trio.to_thread.run_sync(gc.collect)

    trio.run(use_a_thread)
    names = [thread.name for thread in threading.enumerate()]
    assert any(name.startswith("Trio thread") for name in names)

    assert warnings_of_a_fork() == []


def test_of_other_threads_python_warns_as_always() -> None:
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        with warnings.catch_warnings(record=True) as expected:
            warnings.simplefilter("always")
            reap_here(fork_and_exit(0))
        caught = warnings_of_a_fork()
    finally:
        ended.set()
        thread.join()

    assert caught == [str(warning.message) for warning in expected]
