"""`Connection`: what Trio's streams promise, and what sockets tell."""

from __future__ import annotations

import errno
import logging
import socket

import pytest
import trio
import trio.testing

from kit.serving import STUCK
from trioserver import Connection, ConnectionLostError
from unit.streams.pairs import (
    SMALL_BYTES,
    connected,
    fill,
    open_connection,
    reset,
    socket_pair,
    tcp_pair,
)

pytestmark = pytest.mark.usefixtures("readiness")


async def unix_streams() -> tuple[Connection, Connection]:
    ours, theirs = socket_pair()
    return open_connection(ours), open_connection(theirs)


async def tcp_streams() -> tuple[Connection, Connection]:
    ours, theirs = tcp_pair()
    return open_connection(ours), open_connection(theirs)


async def clogged_unix_streams() -> tuple[Connection, Connection]:
    ours, theirs = await unix_streams()
    fill(ours.socket)
    fill(theirs.socket)
    return ours, theirs


async def clogged_tcp_streams() -> tuple[Connection, Connection]:
    ours, theirs = map(open_connection, tcp_pair(SMALL_BYTES))
    # The peer's kernel may yet make room for what is on its way.
    while fill(ours.socket) or fill(theirs.socket):
        await trio.testing.wait_all_tasks_blocked(0.01)
    return ours, theirs


async def test_is_a_half_closeable_stream_over_a_unix_socket() -> None:
    with trio.fail_after(STUCK):
        await trio.testing.check_half_closeable_stream(
            unix_streams, clogged_unix_streams
        )


@pytest.mark.slow
async def test_is_a_half_closeable_stream_over_tcp() -> None:
    with trio.fail_after(STUCK):
        await trio.testing.check_half_closeable_stream(tcp_streams, clogged_tcp_streams)


async def test_makes_its_socket_non_blocking() -> None:
    with connected() as (connection, _):
        timeout = connection.socket.gettimeout()

    assert timeout == 0


async def test_names_its_socket_in_its_repr() -> None:
    with connected() as (connection, _):
        text = repr(connection)

        assert text == f"<Connection {connection.socket!r}>"


# Receiving


async def test_receives_at_most_what_was_asked_for() -> None:
    with connected() as (connection, peer):
        await peer.send_all(b"abcdef")

        first = await connection.receive_some(4)
        second = await connection.receive_some()

    assert (first, second) == (b"abcd", b"ef")


@pytest.mark.parametrize("max_bytes", [0, -1])
async def test_refuses_to_receive_less_than_a_byte(max_bytes: int) -> None:
    with (
        connected() as (connection, _),
        pytest.raises(ValueError, match=f"1 or more, not {max_bytes}"),
    ):
        await connection.receive_some(max_bytes)


async def test_receives_the_end_as_often_as_it_is_asked() -> None:
    with connected() as (connection, peer):
        await peer.send_eof()

        ends = [await connection.receive_some() for _ in range(2)]

    assert ends == [b"", b""]


async def test_receives_although_its_own_end_was_sent() -> None:
    with connected() as (connection, peer):
        await connection.send_eof()
        await peer.send_all(b"still here")

        data = await connection.receive_some()

    assert data == b"still here"


async def test_a_cancelled_receive_takes_nothing() -> None:
    with connected() as (connection, peer):
        await peer.send_all(b"kept")

        with trio.CancelScope() as scope:
            scope.cancel()
            await connection.receive_some()
        after = await connection.receive_some()

    assert scope.cancelled_caught
    assert after == b"kept"


async def test_receive_is_no_checkpoint_when_data_is_there() -> None:
    with connected() as (connection, peer):
        await peer.send_all(b"abc")

        with trio.testing.assert_no_checkpoints():
            data = await connection.receive(2)

    assert data == b"ab"


# Sending


async def test_sends_all_although_the_peer_is_slow() -> None:
    data = bytes(range(256)) * 400
    with connected() as (connection, peer):
        received = bytearray()
        with trio.fail_after(STUCK):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connection.send_all, data)
                while len(received) < len(data):
                    received += await peer.receive_some(1000)

    assert received == data


async def test_a_cancelled_send_some_has_sent_nothing() -> None:
    with connected() as (connection, peer):
        sent = fill(connection.socket)

        with trio.fail_after(STUCK):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connection.send_some, b"never")
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
        connection.close()
        received = b"".join([data async for data in peer])

    assert received == b"-" * sent


async def test_send_some_tells_how_much_has_left() -> None:
    with connected() as (connection, peer):
        data = b"x" * 1000000

        sent = await connection.send_some(data)
        connection.close()
        received = b"".join([block async for block in peer])

    assert 0 < sent < len(data)
    assert len(received) == sent


async def test_send_some_is_no_checkpoint_when_there_is_room() -> None:
    with connected() as (connection, _), trio.testing.assert_no_checkpoints():
        sent = await connection.send_some(b"abc")

    assert sent == 3


async def test_a_bytearray_can_be_resized_once_sending_it_has_failed() -> None:
    data = bytearray(1000000)
    with connected() as (connection, _), trio.CancelScope() as scope:
        scope.cancel()
        try:
            await connection.send_all(data)
        except trio.Cancelled:
            data.clear()
            raise

    assert data == b""


async def test_waits_for_room_before_it_might_send() -> None:
    with connected() as (connection, peer):
        fill(connection.socket)
        with trio.fail_after(STUCK):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connection.wait_send_all_might_not_block)
                await trio.testing.wait_all_tasks_blocked()
                waited = bool(nursery.child_tasks)
                while nursery.child_tasks:
                    await peer.receive_some(65536)
                    await trio.testing.wait_all_tasks_blocked()

    assert waited


@pytest.mark.parametrize("method", ["send", "wait"])
async def test_refuses_to_send_after_its_end_of_file(method: str) -> None:
    with connected() as (connection, _):
        await connection.send_eof()

        with pytest.raises(trio.ClosedResourceError, match="sent its end-of-file"):
            await (
                connection.send_all(b"x")
                if method == "send"
                else connection.wait_send_all_might_not_block()
            )


async def test_sends_its_end_of_file_twice_without_complaint() -> None:
    with connected() as (connection, peer):
        await connection.send_eof()
        await connection.send_eof()

        assert await peer.receive_some() == b""


# Errors


async def test_a_reset_is_an_error_of_trio_and_of_sockets() -> None:
    with connected(tcp_pair()) as (connection, peer):
        reset(peer)

        with pytest.raises(ConnectionLostError) as caught:
            await connection.receive_some()

    assert isinstance(caught.value, trio.BrokenResourceError)
    assert isinstance(caught.value, ConnectionError)
    assert caught.value.errno == errno.ECONNRESET
    assert isinstance(caught.value.__cause__, ConnectionResetError)


async def test_sending_to_a_peer_that_is_gone_is_a_lost_connection() -> None:
    with connected() as (connection, peer):
        await peer.aclose()

        with pytest.raises(ConnectionLostError) as caught:
            await connection.send_all(b"x")

    assert caught.value.errno == errno.EPIPE


async def test_a_half_close_after_a_reset_is_a_lost_connection() -> None:
    with connected(tcp_pair()) as (connection, peer):
        reset(peer)

        with pytest.raises(ConnectionLostError) as caught:
            await connection.send_eof()

    assert caught.value.errno == errno.ENOTCONN


async def test_a_descriptor_closed_behind_its_back_is_a_closed_resource() -> None:
    with connected() as (connection, _):
        connection.socket.close()

        with pytest.raises(trio.ClosedResourceError, match="already closed"):
            await connection.receive_some()


@pytest.mark.parametrize("method", ["send_all", "send_eof"])
async def test_refuses_to_send_once_closed(method: str) -> None:
    with connected() as (connection, _):
        await connection.send_eof()
        await connection.aclose()

        with pytest.raises(trio.ClosedResourceError, match="already closed"):
            await (
                connection.send_all(b"x")
                if method == "send_all"
                else connection.send_eof()
            )


# Closing


async def test_is_closed_only_once_it_was_closed() -> None:
    with connected() as (connection, _):
        before = connection.is_closed
        await connection.aclose()
        await connection.aclose()

        assert (before, connection.is_closed) == (False, True)


async def test_closes_although_cancelled() -> None:
    with connected() as (connection, _), trio.CancelScope() as scope:
        scope.cancel()
        await connection.aclose()

    assert scope.cancelled_caught
    assert connection.is_closed


class FailingToClose(socket.socket):
    def close(self) -> None:
        super().close()
        raise OSError(errno.EIO, "Input/output error")


async def test_an_error_on_closing_goes_to_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ours, theirs = socket_pair()
    failing = FailingToClose(fileno=ours.detach())

    with (
        caplog.at_level(logging.DEBUG, "trioserver"),
        connected((failing, theirs)) as (connection, _),
    ):
        await connection.aclose()

    assert caplog.record_tuples == [
        (
            "trioserver",
            logging.DEBUG,
            "Closing a connection said OSError: [Errno 5] Input/output error",
        )
    ]
