"""A client says what it expected, what came instead, and how the connection ended."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from kit.memory import memory_pair
from kit.serving import STUCK
from trioserver import Connection
from trioserver._testing.link import Link
from trioserver.testing import StreamClient

Step = Callable[[StreamClient], Awaitable[object]]


@asynccontextmanager
async def talking(
    link: Link | None = None,
) -> AsyncIterator[tuple[StreamClient, Connection]]:
    """Yield a client, and the server's end of its connection."""
    client, server = memory_pair(link=link or Link())
    async with (
        StreamClient(Connection(client), patience=STUCK) as talker,
        Connection(server) as peer,
    ):
        yield talker, peer


FAILURES: dict[str, tuple[Step, bytes, str]] = {
    "other data": (
        lambda client: client.expect(b"HELLO\n"),
        b"HELP\n",
        "expected b'HELLO\\n'\n  but there came b'HELP\\n'",
    ),
    "less data": (
        lambda client: client.expect(b"HELLO\n"),
        b"HE",
        "expected b'HELLO\\n'\n  but there came b'HE', then the end-of-file",
    ),
    "no data": (
        lambda client: client.expect(b"HELLO\n"),
        b"",
        "expected b'HELLO\\n'\n  but there came the end-of-file",
    ),
    "long data": (
        lambda client: client.expect(b"x" * 1000),
        b"x" * 500 + b"y" * 500,
        "they differ from byte 500 on",
    ),
    "long data that end": (
        lambda client: client.expect(b"x" * 1000),
        b"x" * 999,
        "... b'" + "x" * 200 + "' (999 bytes), then the end-of-file",
    ),
    "another line": (
        lambda client: client.expect_line(b"HELLO\n"),
        b"HELP ME\n and more",
        "expected b'HELLO\\n'\n  but there came b'HELP ME\\n and more'",
    ),
    "no line": (
        lambda client: client.expect_line(b"HELLO\n"),
        b"HELLO",
        "expected b'HELLO\\n'\n  but there came b'HELLO', then the end-of-file",
    ),
    "no line at all": (
        lambda client: client.receive_line(),
        b"HELLO",
        "expected a line\n  but there came b'HELLO', then the end-of-file",
    ),
    "few bytes": (
        lambda client: client.receive_exactly(10),
        b"HELLO",
        "expected 10 bytes\n  but there came b'HELLO', then the end-of-file",
    ),
    "data instead of the end": (
        lambda client: client.expect_eof(),
        b"HELLO",
        "expected the end-of-file\n  but there came b'HELLO'",
    ),
    "the end instead of a reset": (
        lambda client: client.expect_reset(),
        b"",
        "expected a reset\n  but there came the end-of-file",
    ),
    "data instead of silence": (
        lambda client: client.expect_silence(1.5),
        b"HELLO",
        "expected nothing for 1.5 s\n  but there came b'HELLO'",
    ),
    "the end instead of silence": (
        lambda client: client.expect_silence(1),
        b"",
        "expected nothing for 1 s\n  but there came the end-of-file",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failure_says_what_came(
    name: str, autojump_clock: trio.testing.MockClock
) -> None:
    step, sent, message = FAILURES[name]
    async with talking() as (client, peer):
        await peer.send_all(sent)
        await peer.send_eof()
        with pytest.raises(AssertionError) as failure:
            await step(client)

        assert message in str(failure.value)
        assert await client.receive_all() == sent  # nothing was taken


IMPATIENT: dict[str, tuple[Step, str]] = {
    "expect": (lambda client: client.expect(b"x"), "expected b'x'"),
    "expect_line": (lambda client: client.expect_line(b"x\n"), "expected b'x\\n'"),
    "expect_eof": (lambda client: client.expect_eof(), "expected the end-of-file"),
    "expect_reset": (lambda client: client.expect_reset(), "expected a reset"),
    "receive": (lambda client: client.receive(), "expected some data"),
    "receive_exactly": (lambda client: client.receive_exactly(1), "expected 1 bytes"),
    "receive_line": (lambda client: client.receive_line(), "expected a line"),
    "receive_all": (
        lambda client: client.receive_all(),
        "expected data and the end-of-file",
    ),
}


@pytest.mark.parametrize("name", IMPATIENT)
async def test_patience_is_bounded(
    name: str, autojump_clock: trio.testing.MockClock
) -> None:
    step, message = IMPATIENT[name]
    async with talking() as (client, _):
        client.patience = 3
        with pytest.raises(AssertionError) as failure:
            await step(client)

        assert str(failure.value) == f"{message}\n  but there came nothing for 3 s"
        assert trio.current_time() == 3


@pytest.mark.parametrize(
    "step", [step for step, _ in IMPATIENT.values()], ids=list(IMPATIENT)
)
async def test_a_reset_ends_what_waits(step: Step) -> None:
    async with talking() as (client, peer):
        await client.send(b"unread")
        await peer.aclose()
        if step is IMPATIENT["expect_reset"][0]:
            await step(client)
        else:
            with pytest.raises(AssertionError, match="there came a reset"):
                await step(client)


async def test_what_fits_is_taken_and_the_rest_stays() -> None:
    async with talking() as (client, peer):
        await peer.send_all(b"one\ntwo\nthree four")
        await client.expect(b"on")
        await client.expect_line(b"e\n")
        assert await client.receive_line() == b"two\n"
        assert await client.receive_exactly(5) == b"three"
        assert "unread: b' four'" in repr(client)
        assert await client.receive() == b" four"
        await peer.send_eof()
        assert await client.receive() == b""
        await client.expect_eof()
        await client.expect_eof()


async def test_silence_is_what_was_expected(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with talking() as (client, peer):
        assert "unread: nothing" in repr(client)
        await client.expect_silence(7)
        assert trio.current_time() == 7
        await peer.send_all(b"x")
        await client.expect(b"x")


async def test_a_server_that_does_not_read_tries_the_patience(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with talking(Link(window_bytes=5)) as (client, peer):
        with pytest.raises(AssertionError, match=r"could not send all of 10 bytes"):
            await client.send(b"0123456789")
        assert trio.current_time() == client.patience

        await client.send_eof()
        assert await peer.receive_some() == b"01234"


async def test_what_a_cancelled_wait_has_got_is_not_lost() -> None:
    async with talking() as (client, peer):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.expect, b"hello")
            await peer.send_all(b"hel")
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await peer.send_all(b"lo")
        await client.expect(b"hello")


async def test_a_cancelled_close_closes() -> None:
    client, server = memory_pair()
    talker = StreamClient(Connection(client), patience=STUCK)
    with server:
        with trio.CancelScope() as scope:
            scope.cancel()
            await talker.aclose()

        assert scope.cancelled_caught
        assert client.fileno() == -1


async def test_a_client_of_a_real_unix_socket_cannot_reset() -> None:
    ours, theirs = trio.socket.socketpair()
    async with StreamClient(trio.SocketStream(ours), patience=STUCK) as client:
        with pytest.raises(NotImplementedError, match="only if it has unread data"):
            client.reset()
    theirs.close()


async def test_a_real_connection_has_no_link() -> None:
    ours, theirs = trio.socket.socketpair()
    client = StreamClient(trio.SocketStream(ours), patience=STUCK)
    with pytest.raises(ValueError, match="only connections of a MemoryNetwork"):
        client.link = Link()
    client.close()
    assert ours.fileno() == -1
    theirs.close()


async def test_a_real_client_can_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = await trio.open_tcp_stream(*listener.getsockname())
        accepted, _ = listener.accept()
    client = StreamClient(stream, patience=STUCK)
    client.reset()
    client.reset()
    with accepted:
        accepted.settimeout(5)
        with pytest.raises(ConnectionResetError):
            accepted.recv(1)
