"""`Connection`: two tasks at one end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from kit.serving import STUCK
from trioserver import Connection
from unit.streams.pairs import connected, fill

pytestmark = pytest.mark.usefixtures("readiness")

Use = Callable[[Connection], Awaitable[object]]

# What each of these waits for never comes: the peer is silent, and does not read.
RECEIVING: dict[str, Use] = {
    "receive_some": Connection.receive_some,
    "receive": lambda connection: connection.receive(1),
}
SENDING: dict[str, Use] = {
    "send_all": lambda connection: connection.send_all(b"x"),
    "send_some": lambda connection: connection.send_some(b"x"),
    "wait": Connection.wait_send_all_might_not_block,
}
ENDING: dict[str, Use] = {"send_eof": Connection.send_eof}


def named(uses: dict[str, Use]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("second", uses.values(), ids=uses.keys())


def first_named(uses: dict[str, Use]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("first", uses.values(), ids=uses.keys())


@first_named(RECEIVING)
@named(RECEIVING)
async def test_refuses_a_second_task_that_receives(first: Use, second: Use) -> None:
    with trio.fail_after(STUCK), connected() as (connection, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first, connection)
            await trio.testing.wait_all_tasks_blocked()

            with pytest.raises(trio.BusyResourceError, match="is receiving"):
                await second(connection)
            nursery.cancel_scope.cancel()


@first_named(SENDING)
@named(SENDING | ENDING)
async def test_refuses_a_second_task_that_sends(first: Use, second: Use) -> None:
    with trio.fail_after(STUCK), connected() as (connection, _):
        fill(connection.socket)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first, connection)
            await trio.testing.wait_all_tasks_blocked()

            with pytest.raises(trio.BusyResourceError, match="is sending"):
                await second(connection)
            nursery.cancel_scope.cancel()


async def test_one_task_sends_while_another_receives() -> None:
    with trio.fail_after(STUCK), connected() as (connection, peer):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.receive_some)
            await trio.testing.wait_all_tasks_blocked()

            await connection.send_all(b"question")
            question = await peer.receive_some()
            await peer.send_all(b"answer")

    assert question == b"question"


async def test_is_free_again_after_a_cancelled_wait() -> None:
    with trio.fail_after(STUCK), connected() as (connection, peer):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.receive_some)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await peer.send_all(b"x")

        data = await connection.receive_some()

    assert data == b"x"


@first_named(RECEIVING | SENDING)
async def test_closing_wakes_the_task_that_waits(first: Use) -> None:
    with trio.fail_after(STUCK), connected() as (connection, _):
        fill(connection.socket)

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await first(connection)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            await connection.aclose()

    assert connection.is_closed
