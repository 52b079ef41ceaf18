"""How dialogues over UDP end with their server, and one at a call."""

from __future__ import annotations

import errno

import pytest
import trio
import trio.testing

from kit.datagrams import CountingServer, ask, open_client
from kit.serving import STUCK, eventually, serving
from trioserver import (
    AlreadyServingError,
    DatagramSessionHandler,
    ServerClosedError,
)
from trioserver._datagrams.receiver import Datagram
from trioserver._datagrams.replies import Replies

# With the server


async def test_what_has_come_is_received_when_the_server_stops() -> None:
    class Slow(DatagramSessionHandler):
        async def handle(self) -> None:
            await gate.wait()
            received.extend([data async for data in self.session])
            await self.session.send(b"goodbye")

    gate = trio.Event()
    received: list[bytes] = []
    server = CountingServer(Slow)
    with open_client(server) as client:
        async with serving(server):
            await client.send(b"1")
            await client.send(b"2")
            await eventually(lambda: server.statistics().received == 2)
            await server.shutdown()
            gate.set()
        assert await client.recv(10) == b"goodbye"

    assert received == [b"1", b"2"]


async def test_the_drain_timeout_is_for_who_does_not_notice(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Deaf(DatagramSessionHandler):
        async def handle(self) -> None:
            await trio.sleep_forever()

    server = CountingServer(Deaf, drain_timeout=0.01)
    async with serving(server):
        with open_client(server) as client:
            await client.send(b"data")
            await eventually(lambda: server.requests_in_flight)

    assert "The drain_timeout of 0.01 s is over" in caplog.text


async def test_sessions_end_with_the_loop_if_nothing_else_holds_them() -> None:
    server = CountingServer()
    with trio.fail_after(STUCK), open_client(server) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_forever)
            await ask(client, b"data")
            await server.shutdown()
        await server.server_close()

    assert server.ends == ["stopped"]


async def test_sessions_live_on_between_two_loops_inside_async_with() -> None:
    server = CountingServer()
    answers = []
    with trio.fail_after(STUCK), open_client(server) as client:
        async with server:
            for _ in range(2):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(server.serve_forever)
                    answers.append(await ask(client, b"data"))
                    await server.shutdown()

    assert answers == [b"1", b"2"]


async def test_a_plain_with_ends_those_in_a_nursery_elsewhere() -> None:
    server = CountingServer()
    with trio.fail_after(STUCK), open_client(server) as client:
        async with trio.open_nursery() as nursery:
            with server:
                async with trio.open_nursery() as serving_nursery:
                    server.block_on_close = False

                    async def serve() -> None:
                        await server.serve(handler_nursery=nursery)

                    serving_nursery.start_soon(serve)
                    await ask(client, b"data")
                    await server.shutdown()

    assert server.ends == ["stopped"]


# One at a call


async def test_handle_request_sees_one_session_through() -> None:
    server = CountingServer()
    with trio.fail_after(STUCK):
        with server, open_client(server) as client, open_client(server) as other:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.handle_request)
                answers = [await ask(client, b"data") for _ in range(2)]
                await other.send(b"from a newcomer")
                await eventually(lambda: server.statistics().refused)
                await client.send(b"bye")

    assert answers == [b"1", b"2"]
    assert server.statistics().started == 1


async def test_a_session_may_go_on_after_the_close_and_receives_no_more() -> None:
    class Lingering(DatagramSessionHandler):
        async def handle(self) -> None:
            async for data in self.session:
                await self.session.send(data)
            await gate.wait()

    gate = trio.Event()
    server = CountingServer(Lingering)
    with trio.fail_after(STUCK), open_client(server) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.handle_request)
            assert await ask(client, b"data") == b"data"
            nursery.start_soon(server.server_close)
            await trio.testing.wait_all_tasks_blocked()
            assert server.requests_in_flight == 1
            gate.set()

    assert server.requests_in_flight == 0


async def test_nobody_else_serves_meanwhile() -> None:
    server = CountingServer()
    with trio.fail_after(STUCK), open_client(server) as client:
        with server:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.handle_request)
                await ask(client, b"data")
                with pytest.raises(AlreadyServingError, match="one at a time"):
                    await server.handle_request()
                with pytest.raises(AlreadyServingError, match="one at a time"):
                    await server.serve_forever()
                assert await ask(client, b"data") == b"2"
                await client.send(b"bye")


async def test_handle_request_raises_what_escapes_as_itself() -> None:
    class Exiting(DatagramSessionHandler):
        async def handle(self) -> None:
            await self.session.receive()
            raise SystemExit(3)

    server = CountingServer(Exiting)
    with trio.fail_after(STUCK), server, open_client(server) as client:
        await client.send(b"data")
        with pytest.raises(SystemExit):
            await server.handle_request()


async def test_handle_request_receives_on_whatever_the_network_says() -> None:
    class Unreachable(CountingServer):
        failures = 0

        async def _receive(self) -> tuple[Datagram, Replies]:
            if self.requests_in_flight and not self.failures:
                self.failures += 1
                raise OSError(errno.ENETDOWN, "the network is down")
            return await super()._receive()

    server = Unreachable()
    with trio.fail_after(STUCK), server, open_client(server) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.handle_request)
            assert await ask(client, b"data") == b"1"
            assert await ask(client, b"data") == b"2"
            await client.send(b"bye")

    assert server.failures == 1


async def test_nothing_is_received_for_a_session_whose_server_was_closed_before() -> (
    None
):
    class Closing(CountingServer):
        receptions = 0

        async def verify_request(self, request: object, client_address: object) -> bool:
            self.__exit__()
            await trio.testing.wait_all_tasks_blocked()
            return True

        async def _receive(self) -> tuple[Datagram, Replies]:
            self.receptions += 1
            assert self.receptions < 10  # or this would never end
            return await super()._receive()

    server = Closing()
    with trio.fail_after(STUCK), open_client(server) as client:
        await client.send(b"data")
        await server.handle_request()

    assert server.statistics().received == 1


async def test_handle_request_gives_up_after_its_timeout() -> None:
    timeouts = []

    class Impatient(CountingServer):
        timeout = 0

        async def handle_timeout(self) -> None:
            timeouts.append(self.timeout)

    server = Impatient()
    with trio.fail_after(STUCK), server:
        await server.handle_request()

    assert timeouts == [0]
    with pytest.raises(ServerClosedError):
        await server.handle_request()
