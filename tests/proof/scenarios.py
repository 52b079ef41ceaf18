"""What happens to servers in a real life, each written once for all of them."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Final, TypeAlias

import attrs
import pytest
import trio
import trio.testing

from proof.handlers import GO, HOLD, LONG, AnyServer
from proof.servers import CELLS, Cell
from proof.stage import Client, Stage
from trioserver import AlreadyServingError, ServerClosedError
from trioserver.testing import StreamClient

# Datagrams of one peer that are under way at once: not more than the queue of a session
# takes. The queue of a Unix socket takes ten, and so this blocks who answers.
AHEAD: Final = 14

Play: TypeAlias = Callable[[Stage], Awaitable[None]]

Visitor: TypeAlias = Callable[[Stage, AnyServer], Awaitable[None]]


async def _visited(stage: Stage, server: AnyServer, *visitors: Visitor) -> None:
    """Let several clients come at the same time."""
    async with trio.open_nursery() as nursery:
        for visitor in visitors:
            nursery.start_soon(stage.trial.visit, visitor, stage, server)


async def _ask_once(stage: Stage, server: AnyServer) -> None:
    await stage.ask(server, b"hello\n")


async def _ask_thrice(stage: Stage, server: AnyServer) -> None:
    await stage.ask(server, b"one\n", b"two\n", b"three\n")


async def _half_close(stage: Stage, server: AnyServer) -> None:
    async with stage.connected(server) as client:
        await client.send(b"hello\n")
        await client.send_eof()
        await client.expect(b"HELLO\n")
        await client.expect_eof()


# What every server sees every day


async def reply(stage: Stage) -> None:
    """Two clients ask, and go."""
    async with stage.serving() as server:
        await _visited(stage, server, _ask_once, _ask_once)


async def keep_alive(stage: Stage) -> None:
    """One client asks for one thing after the other."""
    async with stage.serving() as server:
        await _ask_thrice(stage, server)


async def pipelining(stage: Stage) -> None:
    """A client does not wait for one reply before it asks for the next."""
    async with stage.serving() as server:
        async with stage.open(server) as client:
            await stage.talk(client, b"one\n", b"two\n", b"three\n")


async def half_close(stage: Stage) -> None:
    """Clients say that they will send no more, and read to the end."""
    async with stage.serving() as server:
        await _visited(stage, server, _half_close, _half_close)


async def buffered_reply(stage: Stage) -> None:
    """What is to be sent waits in a buffer until the handler has returned."""
    async with stage.serving("buffered") as server:
        await _visited(stage, server, _half_close, _half_close)


async def slow_client(stage: Stage) -> None:
    """A client asks, and does not read until the server cannot send any more."""
    async with stage.serving("long") as server:
        async with stage.connected(server) as client:
            await client.send(b"hello\n")
            await trio.testing.wait_all_tasks_blocked()
            assert await client.receive_exactly(len(LONG)) == LONG


async def slow_peer(stage: Stage) -> None:
    """A client sends much, and does not read before it has sent it all."""
    async with stage.serving() as server:
        async with stage.open(server) as client:
            await stage.talk(client, *(b"%02d\n" % n for n in range(AHEAD)))


async def full(stage: Stage) -> None:
    """Three clients come, and there is room for one."""
    async with stage.serving(settings=stage.subject.model.one_at_a_time) as server:
        await _visited(stage, server, _ask_once, _ask_thrice, _ask_once)


async def vanishing_clients(stage: Stage) -> None:
    """Two clients ask, and reset their connections, or close them unread."""
    async with stage.serving() as server:
        await _visited(stage, server, _vanish, _vanish)


async def _vanish(stage: Stage, server: AnyServer) -> None:
    async with stage.connected(server) as client:
        await client.send(b"hello\n")
        stage.trial.reset_clients()


async def handler_that_asks(stage: Stage) -> None:
    """A handler in a thread awaits what the server does in Trio."""
    async with stage.serving("asking") as server:
        await _visited(stage, server, _half_close, _half_close)


async def daemon_that_asks(stage: Stage) -> None:
    """The same, and nobody waits for that thread in the end."""
    settings = stage.subject.model.cells["daemons"].settings
    async with stage.serving("asking", settings) as server:
        await _visited(stage, server, _half_close, _half_close)


async def left_open(stage: Stage) -> None:
    """The object is not closed in the end."""
    async with stage.serving(settings={"close": False}) as server:
        await _visited(stage, server, _ask_once, _ask_thrice)


async def refused(stage: Stage) -> None:
    """A client is turned away."""
    settings = {"verify_request": lambda *_: False}
    async with stage.serving(settings=settings) as server:
        async with stage.open(server) as client:
            await client.send(b"hello\n")
            if isinstance(client, StreamClient):
                await client.expect_eof()
            else:
                await client.expect_silence(0.002)


async def truncated(stage: Stage) -> None:
    """A datagram is too long, and the next one is not."""
    async with stage.serving(settings={"max_packet_size": 8}) as server:
        async with stage.open(server) as client:
            await client.send(bytes(100))
            await stage.talk(client, b"hello\n")


# Failures


async def failing_handler(stage: Stage) -> None:
    """The handler of one client fails."""
    async with stage.serving("failing") as server:
        async with stage.open(server) as client:
            await client.send(b"hello\n")
            if isinstance(client, StreamClient):
                await client.expect_eof()
        await _send_and_go(stage, server)


async def _send_and_go(stage: Stage, server: AnyServer) -> None:
    async with stage.open(server) as client:
        await client.send(b"hello\n")


async def failing_finish(stage: Stage) -> None:
    """The handler has answered, and then fails."""
    async with stage.serving("finishing badly") as server:
        await _ask_once(stage, server)
        await _ask_once(stage, server)


async def address_in_use(stage: Stage) -> None:
    """Another server is to be made where there is one already."""
    async with stage.serving() as server:
        assert _make_another(server) == errno.EADDRINUSE or stage.trial.is_injected
        await _ask_once(stage, server)


def _make_another(server: AnyServer) -> int | None:
    """Make a server at the same address. Return the errno, if it cannot be made."""
    try:
        with type(server)(server.server_address, server.RequestHandlerClass):
            return 0
    except OSError as error:
        return error.errno


async def served_twice(stage: Stage) -> None:
    """Somebody serves what is being served."""
    async with stage.serving() as server:
        # The latter if it has been ended meanwhile.
        with pytest.raises((AlreadyServingError, ServerClosedError)):
            await server.serve()
        await _ask_once(stage, server)


async def start_up(stage: Stage) -> None:
    """A server is made, entered and closed; all of that is watched."""
    server = stage.subject.make("upper", {})
    async with server:
        await server.shutdown()
        await server.serve_forever()


# Other ways to serve


async def _in_block(server: AnyServer, *, task_status: trio.TaskStatus[object]) -> None:
    server.service_actions = trio.lowlevel.checkpoint
    async with server:
        await server.serve_forever(0.01, task_status=task_status)
        await server.shutdown()


async def async_with(stage: Stage) -> None:
    """Serve inside ``async with``, and with something to do beside."""
    async with stage.serving(style=_in_block) as server:
        await _visited(stage, server, _ask_once, _ask_once)


async def _elsewhere(
    server: AnyServer, *, task_status: trio.TaskStatus[object]
) -> None:
    async with trio.open_nursery() as nursery:
        await server.serve(handler_nursery=nursery, task_status=task_status)


async def nursery_elsewhere(stage: Stage) -> None:
    """The requests live in a nursery of the caller's."""
    async with stage.serving(style=_elsewhere) as server:
        await _visited(stage, server, _ask_once, _ask_once)


async def _singly(
    answered: trio.Event, server: AnyServer, *, task_status: trio.TaskStatus[object]
) -> None:
    with server:
        task_status.started(server)
        # As long as there are clients, however many requests that makes: who waits for
        # long sends its datagram once more.
        while not answered.is_set():
            await server.handle_request()


async def handle_request(stage: Stage) -> None:
    """One request is handled after the other."""
    answered = trio.Event()
    style = partial(_singly, answered)
    async with stage.serving(settings={"timeout": 0.05}, style=style) as server:
        try:
            await _ask_once(stage, server)
            await _ask_once(stage, server)
        finally:
            answered.set()


async def stopped_by_handler(stage: Stage) -> None:
    """A handler shuts the server down, and closes it."""
    async with stage.serving("stopping") as server:
        await _half_close(stage, server)


# The table of requests in flight


async def _stop(stage: Stage, cell: Cell) -> None:
    """Shut down while a request is in flight, and see what becomes of it."""
    async with stage.serving(settings=cell.settings) as server:
        async with stage.open(server) as client:
            await stage.talk(client, HOLD)
            await stage.shut_down(server)
            if cell.is_promised:
                await stage.release(client)
                await client.expect(GO.upper())
            await _see_end(client, is_promised=cell.is_promised)


async def _see_end(client: Client, *, is_promised: bool) -> None:
    if isinstance(client, StreamClient):
        if is_promised:
            await client.send_eof()
        await client.expect_eof()


async def stopping_full(stage: Stage) -> None:
    """Shut down while one request is in flight, and two clients are in the queue."""
    async with stage.serving(settings=stage.subject.model.one_at_a_time) as server:
        async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
            for _ in range(3):
                client = await stack.enter_async_context(stage.open(server))
                nursery.start_soon(stage.trial.visit, _hold, stage, server, client)


async def _hold(stage: Stage, server: AnyServer, client: Client) -> None:
    await stage.talk(client, HOLD)
    await stage.shut_down(server)
    await stage.release(client)
    await client.expect(GO.upper())
    await _see_end(client, is_promised=True)
    await client.aclose()


def _stopping(cell: str) -> Scenario:
    async def play(stage: Stage) -> None:
        await _stop(stage, stage.subject.model.cells[cell])

    return Scenario(f"stopping_{cell.replace(' ', '_')}", play, cell)


@attrs.frozen
class Scenario:
    """Something that happens to a server."""

    name: str
    play: Play
    cell: str = "joined"
    """What becomes of requests when the server ends: a row of that table."""
    has_queue: bool = True
    """Whether a close serves those who are in the listen queue."""


SCENARIOS: Final = {
    scenario.name: scenario
    for scenario in (
        *(
            Scenario(play.__name__, play, has_queue=play is not handle_request)
            for play in (
                reply,
                keep_alive,
                pipelining,
                half_close,
                buffered_reply,
                slow_client,
                slow_peer,
                full,
                vanishing_clients,
                handler_that_asks,
                daemon_that_asks,
                left_open,
                refused,
                truncated,
                failing_handler,
                failing_finish,
                address_in_use,
                served_twice,
                start_up,
                async_with,
                nursery_elsewhere,
                handle_request,
                stopped_by_handler,
                stopping_full,
            )
        ),
        *map(_stopping, CELLS),
    )
}
