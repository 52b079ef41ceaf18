"""What happens when several things happen at once."""

from __future__ import annotations

import sys

import pytest
import trio
import trio.lowlevel
import trio.testing

from kit.serving import (
    LOOPBACK,
    STUCK,
    GateHandler,
    GateServer,
    UpperHandler,
    ask,
    connect,
    receive_all,
)
from trioserver import (
    AlreadyServingError,
    BaseRequestHandler,
    Connection,
    StreamRequestHandler,
    TCPServer,
)


@pytest.fixture
def server() -> TCPServer:
    return TCPServer(LOOPBACK, UpperHandler)


async def test_entering_twice_leaves_the_first_block_alone(server: TCPServer) -> None:
    with trio.fail_after(STUCK):
        async with server, trio.open_nursery() as nursery:
            with pytest.raises(AlreadyServingError):
                await server.__aenter__()
            await nursery.start(server.serve_forever)
            async with await connect(server) as client:
                assert await ask(client, b"first\n") == b"FIRST\n"
            await server.shutdown()


async def test_a_second_cycle_waits_for_the_requests_of_the_first() -> None:
    server = GateServer()
    with trio.fail_after(STUCK), server:
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            first = await connect(server)
            await first.send_all(b"first\n")
            await server.wait_inside(1)
            await server.shutdown()

            second = await connect(server)
            await second.send_all(b"second\n")
            nursery.start_soon(server.serve_forever)
            await trio.testing.wait_all_tasks_blocked()
            assert server.inside == 1

            server.gate.set()
            replies = []
            for client in (first, second):
                async with client:
                    replies.append(await receive_all(client))
            await server.shutdown()

    assert replies == [b"FIRST\n", b"SECOND\n"]


async def test_a_cycle_that_waits_for_the_first_one_can_be_shut_down() -> None:
    server = GateServer()
    with trio.fail_after(STUCK), server:
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            async with await connect(server) as client:
                await client.send_all(b"first\n")
                await server.wait_inside(1)
                await server.shutdown()
                nursery.start_soon(server.serve_forever)
                await trio.testing.wait_all_tasks_blocked()

                await server.shutdown()

                server.gate.set()


async def test_a_cycle_that_was_cancelled_does_not_end_the_next(
    server: TCPServer,
) -> None:
    with trio.fail_after(STUCK), server:
        with trio.CancelScope() as scope:
            scope.cancel()
            await server.serve_forever()
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            async with await connect(server) as client:
                assert await ask(client, b"next\n") == b"NEXT\n"
            await server.shutdown()


@pytest.mark.parametrize("when", ["before", "while it drains"])
async def test_closing_with_a_limit_of_zero_does_not_wait_for_slots(when: str) -> None:
    server = GateServer()
    server.max_concurrent_requests = 1
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            first, second = await connect(server), await connect(server)
            await first.send_all(b"first\n")
            await server.wait_inside(1)
            if when == "before":
                server.max_concurrent_requests = 0
            await server.shutdown()
            await trio.testing.wait_all_tasks_blocked()
            server.max_concurrent_requests = 0
            server.gate.set()
            assert await receive_all(first) == b"FIRST\n"
            await first.aclose()
            await second.aclose()

    assert server.peak_inside == 1


async def test_a_request_lowered_out_of_its_slot_is_closed_with_the_server() -> None:
    server = TCPServer(LOOPBACK, UpperHandler)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            await trio.testing.wait_all_tasks_blocked()
            server.max_concurrent_requests = 0
            client = await connect(server)
            await trio.testing.wait_all_tasks_blocked()
            assert server.requests_in_flight == 1

            await server.shutdown()
            assert await receive_all(client) == b""
            await client.aclose()


async def test_an_interrupt_beside_an_error_goes_on_although_both_are_reported() -> (
    None
):
    class Both(BaseRequestHandler):
        async def handle(self) -> None:
            message = "both"
            raise BaseExceptionGroup(message, [KeyboardInterrupt(), ValueError("mine")])

    class Passing(TCPServer):
        async def handle_error(self, request: object, client_address: object) -> None:
            raise  # noqa: PLE0704  # the idiom: the exception being handled

    server = Passing(LOOPBACK, Both)
    client = await connect(server)
    with trio.fail_after(STUCK):
        with pytest.RaisesGroup(
            KeyboardInterrupt,
            pytest.RaisesExc(ValueError, match="mine"),
            flatten_subgroups=True,
        ):
            await server.serve()
    await client.aclose()


async def test_an_exit_goes_on_although_the_closing_fails() -> None:
    class Exiting(BaseRequestHandler):
        async def handle(self) -> None:
            raise SystemExit

    class Failing(TCPServer):
        async def shutdown_request(self, request: object) -> None:
            raise ValueError

        async def handle_error(self, request: object, client_address: object) -> None:
            raise  # noqa: PLE0704  # the idiom: the exception being handled

    server = Failing(LOOPBACK, Exiting)
    client = await connect(server)
    with trio.fail_after(STUCK):
        with pytest.RaisesGroup(SystemExit, ValueError):
            await server.serve()
    await client.aclose()


async def test_an_exit_is_not_hidden_by_what_finish_raises() -> None:
    errors: list[BaseException | None] = []

    class Exiting(BaseRequestHandler):
        async def handle(self) -> None:
            raise SystemExit

        async def finish(self) -> None:
            message = "in finish"
            raise ValueError(message)

    class Noting(TCPServer):
        async def handle_error(self, request: object, client_address: object) -> None:
            errors.append(sys.exception())

    server = Noting(LOOPBACK, Exiting)
    client = await connect(server)
    with trio.fail_after(STUCK), pytest.raises(SystemExit):
        await server.serve()
    await client.aclose()

    assert [str(error) for error in errors] == ["in finish"]


async def test_two_closers_within_one_request_do_not_wait_for_it() -> None:
    class Closing(GateHandler):
        async def handle(self) -> None:
            if await self.rfile.readline() == b"close\n":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.server.server_close)
                    nursery.start_soon(self.server.server_close)
            else:
                await self.server.pass_gate()

    server = GateServer(Closing)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            waiting, closing = await connect(server), await connect(server)
            await waiting.send_all(b"wait\n")
            await server.wait_inside(1)
            await closing.send_all(b"close\n")
            await trio.testing.wait_all_tasks_blocked()
            server.gate.set()
            await waiting.aclose()
            await closing.aclose()


async def test_server_close_joins_a_request_of_handle_request() -> None:
    server = GateServer()
    order: list[str] = []

    async def close() -> None:
        await server.wait_inside(1)
        await server.server_close()
        order.append("closed")

    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(close)
            async with await connect(server) as client:
                await client.send_all(b"one\n")
                nursery.start_soon(server.handle_request)
                await server.wait_inside(1)
                await trio.testing.wait_all_tasks_blocked()
                order.append("opened")
                server.gate.set()

    assert order == ["opened", "closed"]


async def test_a_handler_may_handle_another_request_and_close_the_server() -> None:
    class Nested(StreamRequestHandler):
        async def handle(self) -> None:
            line = await self.rfile.readline()
            if line == b"outer\n":
                await self.server.handle_request()
            else:
                await self.server.server_close()

    server = TCPServer(LOOPBACK, Nested)
    with trio.fail_after(STUCK):
        outer, inner = await connect(server), await connect(server)
        await outer.send_all(b"outer\n")
        await inner.send_all(b"inner\n")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.handle_request)
            assert await receive_all(inner) == b""
            await inner.aclose()
            await outer.aclose()

    assert server.fileno() == -1


async def test_only_one_handle_request_waits_at_a_time(server: TCPServer) -> None:
    with trio.fail_after(STUCK), server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.handle_request)
            await trio.testing.wait_all_tasks_blocked()
            for serve in (server.handle_request, server.serve_forever):
                with pytest.raises(AlreadyServingError, match="one at a time"):
                    await serve()
            nursery.cancel_scope.cancel()


async def test_an_impatient_closer_does_not_disturb_a_patient_one() -> None:
    class Slow(GateServer):
        async def get_request(self) -> tuple[Connection, object]:
            if self.requests_in_flight:
                taking_the_queue.set()
                await trio.lowlevel.checkpoint()
            return await super().get_request()

    taking_the_queue = trio.Event()
    server = Slow()
    server.max_concurrent_requests = 1
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            clients = [await connect(server) for _ in range(20)]
            for client in clients:
                await client.send_all(b"x\n")
                await client.send_eof()
            # One is inside, and keeps the others in the queue.
            await server.wait_inside(1)
            nursery.start_soon(server.server_close)
            await taking_the_queue.wait()
            with trio.move_on_after(0):
                await server.server_close()
            server.gate.set()
            replies = []
            for client in clients:
                async with client:
                    replies.append(await receive_all(client))

    assert replies == [b"X\n"] * 20


async def test_closing_after_serve_forever_serves_the_queue(server: TCPServer) -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            await server.shutdown()
        late = await connect(server)
        await late.send_all(b"late\n")
        await late.send_eof()

        await server.server_close()

        async with late:
            assert await receive_all(late) == b"LATE\n"


async def test_a_queued_request_may_close_the_server_that_closes() -> None:
    class Closing(StreamRequestHandler):
        async def handle(self) -> None:
            await self.server.server_close()
            await self.wfile.write(b"closed\n")

    server = TCPServer(LOOPBACK, Closing)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            await server.shutdown()
        late = await connect(server)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.server_close)
            async with late:
                assert await receive_all(late) == b"closed\n"


async def test_a_cancelled_close_after_serve_forever_closes_the_socket(
    server: TCPServer,
) -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            await server.shutdown()
        with trio.CancelScope() as scope:
            scope.cancel()
            await server.server_close()

    assert server.fileno() == -1


async def test_a_plain_close_ends_a_loop_with_service_actions_quietly() -> None:
    class Acting(TCPServer):
        async def service_actions(self) -> None:
            """Do nothing, but be overridden."""

    server = Acting(LOOPBACK, UpperHandler)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            with server:
                pass
