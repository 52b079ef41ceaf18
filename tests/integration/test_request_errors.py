"""Every row of the contract's table of errors: what happens, and that nothing leaks."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import pytest
import trio

from kit.serving import (
    LOOPBACK,
    STUCK,
    UpperHandler,
    ask,
    connect,
    receive_all,
    serving,
)
from trioserver import BaseRequestHandler, Connection, StreamRequestHandler, TCPServer


class NotedServer(TCPServer):
    """Notes what it is asked for, and keeps the connections to look at them later."""

    def __init__(self, handler: Callable[..., object] = UpperHandler) -> None:  # type: ignore[explicit-any]  # any handler
        self.noted: list[str] = []
        self.errors: list[BaseException | None] = []
        self.connections: list[Connection] = []
        super().__init__(LOOPBACK, handler)

    async def verify_request(self, request: Connection, client_address: object) -> bool:
        self.connections.append(request)
        return True

    async def handle_error(self, request: Connection, client_address: object) -> None:
        self.noted.append("handle_error")
        self.errors.append(sys.exception())

    async def shutdown_request(self, request: Connection) -> None:
        self.noted.append("shutdown_request")
        await super().shutdown_request(request)

    def all_closed(self) -> bool:
        return all(connection.is_closed for connection in self.connections)


async def meet(server: TCPServer) -> bytes:
    """Connect, send a line, and return all that comes back."""
    async with await connect(server) as client:
        await client.send_all(b"hello\n")
        return await receive_all(client)


class Raising(StreamRequestHandler):
    """Raises where its class says."""

    where = ""
    error: BaseException = ValueError("broken")

    async def setup(self) -> None:
        await super().setup()
        self._raise_in("setup")

    async def handle(self) -> None:
        self._raise_in("handle")

    async def finish(self) -> None:
        await super().finish()
        self.server.noted.append("finish")
        self._raise_in("finish")

    def _raise_in(self, name: str) -> None:
        if name in self.where:
            raise self.error


def raising(where: str, error: BaseException) -> type[Raising]:
    return type("RaisingHere", (Raising,), {"where": where, "error": error})


AFTER_ERROR = ["handle_error", "shutdown_request"]


@pytest.mark.parametrize(
    ("where", "noted"),
    [
        ("setup", AFTER_ERROR),
        ("handle", ["finish", *AFTER_ERROR]),
        ("finish", ["finish", *AFTER_ERROR]),
    ],
)
async def test_an_error_of_the_handler_is_handled_and_serving_goes_on(
    where: str, noted: list[str]
) -> None:
    error = ValueError("broken")
    async with serving(NotedServer(raising(where, error))) as server:
        assert await meet(server) == b""
        assert await meet(server) == b""

    assert server.noted == noted * 2
    assert server.errors == [error] * 2
    assert server.all_closed()


async def test_an_error_in_finish_hides_the_one_in_handle_but_keeps_it() -> None:
    class Both(Raising):
        async def handle(self) -> None:
            message = "first"
            raise LookupError(message)

        async def finish(self) -> None:
            message = "second"
            raise ValueError(message)

    async with serving(NotedServer(Both)) as server:
        await meet(server)

    (error,) = server.errors
    assert isinstance(error, ValueError)
    assert isinstance(error.__context__, LookupError)


async def test_a_request_that_is_not_verified_is_shut_down() -> None:
    class Refusing(NotedServer):
        async def verify_request(
            self, request: Connection, client_address: object
        ) -> bool:
            return not await super().verify_request(request, client_address)

    async with serving(Refusing()) as server:
        assert await meet(server) == b""

    assert server.noted == ["shutdown_request"]
    assert server.all_closed()


async def test_verify_request_that_raises_costs_one_request() -> None:
    class Failing(NotedServer):
        async def verify_request(
            self, request: Connection, client_address: object
        ) -> bool:
            await super().verify_request(request, client_address)
            message = "no idea"
            raise LookupError(message)

    async with serving(Failing()) as server:
        assert await meet(server) == b""
        assert await meet(server) == b""

    assert server.noted == AFTER_ERROR * 2
    assert server.all_closed()


async def test_get_request_that_raises_an_oserror_costs_one_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Flaky(NotedServer):
        tries = 0

        async def get_request(self) -> tuple[Connection, object]:
            self.tries += 1
            if self.tries == 1:
                message = "handshake\nfailed"
                raise TimeoutError(message)
            if self.tries == 2:
                raise trio.BrokenResourceError
            return await super().get_request()

    caplog.set_level(logging.DEBUG, "trioserver")
    async with serving(Flaky()) as server:
        async with await connect(server) as client:
            assert await ask(client, b"hello\n") == b"HELLO\n"

    assert "handshake\\nfailed" in caplog.text


async def test_get_request_that_raises_anything_else_ends_serving() -> None:
    class Failing(NotedServer):
        async def get_request(self) -> tuple[Connection, object]:
            message = "a bug"
            raise LookupError(message)

    server = Failing()
    with pytest.raises(LookupError, match="a bug"), trio.fail_after(STUCK):
        await server.serve()

    assert server.fileno() == -1


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt("now")])
@pytest.mark.parametrize("where", ["setup", "handle", "finish"])
async def test_an_exit_leaves_serve_as_itself(where: str, error: BaseException) -> None:
    server = NotedServer(raising(where, error))

    assert await serve_one(server) is error
    assert "handle_error" not in server.noted
    assert server.all_closed()
    assert server.fileno() == -1


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt("now")])
async def test_an_exit_within_the_handlers_own_nursery_is_un_nested_too(
    error: BaseException,
) -> None:
    class Nested(BaseRequestHandler):
        async def handle(self) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.fail)
                nursery.start_soon(self.fail)

        async def fail(self) -> None:
            raise error

    server = NotedServer(Nested)

    assert await serve_one(server) is error
    assert server.all_closed()


async def test_what_handle_error_raises_leaves_serve_un_nested() -> None:
    class Passing(NotedServer):
        async def handle_error(
            self, request: Connection, client_address: object
        ) -> None:
            await trio.lowlevel.checkpoint()
            raise  # noqa: PLE0704  # the idiom: the exception being handled

    error = ValueError("pass me on")
    server = Passing(raising("handle", error))

    assert await serve_one(server) is error
    assert server.noted == ["finish", "shutdown_request"]
    assert server.all_closed()


async def test_shutdown_request_that_raises_is_handled_and_the_socket_closed() -> None:
    class Failing(NotedServer):
        async def shutdown_request(self, request: Connection) -> None:
            self.noted.append("shutdown_request")
            message = "cannot"
            raise LookupError(message)

    async with serving(Failing(raising("handle", ValueError()))) as server:
        for _ in range(2):
            async with await connect(server) as client:
                assert await receive_all(client) == b""

    assert server.noted == ["finish", *AFTER_ERROR, "handle_error"] * 2
    assert server.all_closed()


async def test_hooks_may_be_plain_functions() -> None:
    class Plain(TCPServer):
        seen: list[str] = []  # noqa: RUF012  # one server only

        def verify_request(self, request: object, client_address: object) -> bool:  # type: ignore[override]  # a plain one
            self.seen.append("verify")
            return True

        def handle_error(self, request: object, client_address: object) -> None:  # type: ignore[override]  # a plain one
            self.seen.append(repr(sys.exception()))

    class PlainSetup(BaseRequestHandler):
        def setup(self) -> None:  # type: ignore[override]  # a plain one
            message = "plain"
            raise LookupError(message)

    async with serving(Plain(LOOPBACK, PlainSetup)) as server:
        await meet(server)

    assert server.seen == ["verify", "LookupError('plain')"]


async def test_a_process_request_that_hands_on_keeps_the_connection_open() -> None:
    class Pool(NotedServer):
        def process_request(self, request: Connection, client_address: object) -> None:  # type: ignore[override]  # a plain one
            nursery.start_soon(self.work, request, client_address)

        async def work(self, request: Connection, client_address: object) -> None:
            await self.finish_request(request, client_address)
            await self.shutdown_request(request)

    async with trio.open_nursery() as nursery:
        async with serving(Pool()) as server:
            async with await connect(server) as client:
                assert await ask(client, b"pool\n") == b"POOL\n"

    assert server.all_closed()


async def serve_one(server: TCPServer) -> BaseException | None:
    """Serve one client, and return what that raised."""
    caught: BaseException | None = None
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_meet_once, server)
            try:
                await server.serve()
            except (
                Exception,
                SystemExit,
                KeyboardInterrupt,
                BaseExceptionGroup,
            ) as error:
                caught = error
            nursery.cancel_scope.cancel()
    return caught


async def _meet_once(server: TCPServer) -> None:
    async with await connect(server) as client:
        await client.send_all(b"hello\n")
        await client.receive_some()
