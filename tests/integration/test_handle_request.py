"""One request at a time, without an accept loop."""

from __future__ import annotations

import errno

import pytest
import trio
import trio.testing

from kit.datagrams import open_client
from kit.serving import (
    LOOPBACK,
    STUCK,
    UpperHandler,
    ask,
    connect,
    receive_all,
)
from trioserver import (
    BaseRequestHandler,
    BaseServer,
    ListenerBrokenError,
    ServerClosedError,
    StreamRequestHandler,
    TCPServer,
    UDPServer,
)


class SilentServer(BaseServer):
    """Never gets a request, and counts how often it gave up."""

    timeouts = 0

    def __init__(self) -> None:
        super().__init__("nowhere", UpperHandler)

    async def get_request(self) -> tuple[object, object]:
        await trio.sleep_forever()

    async def handle_timeout(self) -> None:
        self.timeouts += 1


async def test_handles_one_request_and_returns() -> None:
    with TCPServer(LOOPBACK, UpperHandler) as server, trio.fail_after(STUCK):
        client = await connect(server)
        await client.send_all(b"one\n")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.handle_request)
            assert await ask(client, b"two\n") == b"ONE\n"
            await client.aclose()

    assert server.requests_in_flight == 0


async def test_calls_handle_timeout_when_nobody_comes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = SilentServer()
    server.timeout = 30

    await server.handle_request()

    assert server.timeouts == 1
    assert trio.current_time() == 30


async def test_waits_for_ever_without_a_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = SilentServer()

    with trio.move_on_after(1_000_000) as waiting:
        await server.handle_request()

    assert waiting.cancelled_caught
    assert server.timeouts == 0


async def test_the_timeout_does_not_bound_the_handling(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Slow(StreamRequestHandler):
        async def handle(self) -> None:
            await trio.sleep(1000)
            self.server.handled = True

    class Ready(SilentServer):
        handled = False

        async def get_request(self) -> tuple[object, object]:
            await trio.lowlevel.checkpoint()
            return trio.testing.memory_stream_pair()[0], "client"

    server = Ready()
    server.RequestHandlerClass = Slow
    server.timeout = 1

    await server.handle_request()

    assert server.handled
    assert server.timeouts == 0


async def test_a_shortage_is_waited_for_before_it_returns(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Short(SilentServer):
        async def get_request(self) -> tuple[object, object]:
            raise OSError(errno.EMFILE, "full")

    await Short().handle_request()

    assert trio.current_time() == pytest.approx(0.1)


async def test_an_error_in_the_handler_does_not_reach_the_caller() -> None:
    class Failing(StreamRequestHandler):
        async def handle(self) -> None:
            raise ValueError

    with TCPServer(LOOPBACK, Failing) as server, trio.fail_after(STUCK):
        async with await connect(server) as client:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.handle_request)
                assert await receive_all(client) == b""
                await client.aclose()


async def test_closing_the_server_ends_the_wait() -> None:
    server = TCPServer(LOOPBACK, UpperHandler)
    with trio.fail_after(STUCK):
        with pytest.RaisesGroup(ServerClosedError):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.handle_request)
                await trio.testing.wait_all_tasks_blocked()
                await server.server_close()


async def test_closing_a_server_joins_or_cancels_the_request() -> None:
    entered = trio.Event()

    class Endless(StreamRequestHandler):
        async def handle(self) -> None:
            entered.set()
            await trio.sleep_forever()

    server = TCPServer(LOOPBACK, Endless)
    server.drain_timeout = 0
    with trio.fail_after(STUCK):
        async with await connect(server):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.handle_request)
                await entered.wait()
                await server.server_close()

    assert server.requests_in_flight == 0


async def test_a_broken_listener_is_an_error() -> None:
    server = TCPServer(LOOPBACK, UpperHandler, bind_and_activate=False)
    with server, pytest.raises(ListenerBrokenError, match="server_activate"):
        await server.handle_request()


async def test_a_server_closed_just_after_somebody_has_come_is_closed() -> None:
    class Closing(TCPServer):
        async def get_request(self) -> tuple[object, object]:
            with self:  # as another task may, between the news and the accept
                pass
            return await super().get_request()

    with pytest.raises(ServerClosedError, match="was closed while it waited"):
        await Closing(LOOPBACK, UpperHandler).handle_request()


async def test_a_server_that_cannot_tell_trusts_the_error() -> None:
    class Broken(BaseServer):
        async def get_request(self) -> tuple[object, object]:
            raise OSError(errno.EBADF, "bad descriptor")

    with pytest.raises(ListenerBrokenError, match="'nowhere' is broken"):
        await Broken("nowhere", UpperHandler).handle_request()


async def test_base_server_asks_for_get_request() -> None:
    with pytest.raises(NotImplementedError, match="must define get_request"):
        await BaseServer("nowhere", UpperHandler).handle_request()


async def test_base_server_has_hooks_that_do_nothing() -> None:
    server = BaseServer("nowhere", UpperHandler)

    server.server_activate()
    await server.handle_timeout()
    await server.service_actions()
    await server.shutdown_request("request")

    assert await server.verify_request("request", "client")
    assert repr(server) == "<BaseServer 'nowhere', new, requests in flight: 0>"


async def test_says_that_it_was_closed_when_a_request_comes_at_that_moment() -> None:
    class ClosingServer(TCPServer):
        async def get_request(self) -> tuple[object, object]:
            await self.server_close()
            raise OSError(errno.EBADF, "a closed socket")

    with pytest.raises(ServerClosedError):
        await ClosingServer(LOOPBACK, UpperHandler).handle_request()


class HastyHandler(BaseRequestHandler):
    """Waits for nothing."""

    async def handle(self) -> None:
        pass


async def test_lets_others_run_although_nothing_was_waited_for() -> None:
    with UDPServer(LOOPBACK, HastyHandler) as server, trio.fail_after(STUCK):
        with open_client(server) as client:
            await client.send(b"one")
            await client.send(b"two")
            await server.handle_request()
            await trio.lowlevel.wait_readable(server.socket)

            with trio.testing.assert_checkpoints():
                await server.handle_request()
