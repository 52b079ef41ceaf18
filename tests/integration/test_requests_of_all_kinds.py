"""Servers whose requests are no connections of ours."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing

from kit.serving import (
    LOOPBACK,
    STUCK,
    UpperHandler,
    ask,
    connect,
    receive_all,
    serving,
)
from trioserver import Connection, TCPServer
from trioserver._servers import tcp


class Wrapped(trio.abc.Stream):
    """A stream round another, as one for TLS would be."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self._inner = inner

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._inner.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Nobody asks for it here."""

    async def aclose(self) -> None:
        await self._inner.aclose()


async def test_a_request_may_be_any_stream() -> None:
    class Wrapping(TCPServer):
        async def get_request(self) -> tuple[Wrapped, object]:
            connection, address = await super().get_request()
            return Wrapped(connection), address

    async with serving(Wrapping(LOOPBACK, UpperHandler)) as server:
        async with await connect(server) as client:
            assert await ask(client, b"wrapped\n") == b"WRAPPED\n"
            await client.send_eof()
            assert await receive_all(client) == b""


async def test_a_request_may_be_no_resource_at_all() -> None:
    handled: list[object] = []

    class Numbers(TCPServer):
        async def get_request(self) -> tuple[int, str]:
            if handled:
                await trio.sleep_forever()
            return 42, "nowhere"

    def handle(request: int, client_address: str, server: object) -> None:
        handled.append(request)
        raise ValueError

    async with serving(Numbers(LOOPBACK, handle)) as server:
        await trio.testing.wait_all_tasks_blocked()
        assert server.requests_in_flight == 0

    assert 42 in handled


async def test_a_connection_that_cannot_be_wrapped_is_closed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **_named: object) -> Connection:
        message = "no such device"
        raise OSError(message)

    caplog.set_level(logging.DEBUG, "trioserver")
    async with serving(TCPServer(LOOPBACK, UpperHandler)) as server:
        with monkeypatch.context() as patch:
            patch.setattr(tcp, "Connection", refuse)
            async with await connect(server) as client:
                assert await receive_all(client) == b""

    assert "no such device" in caplog.text


async def test_a_closed_resource_in_get_request_is_an_error_of_its_own() -> None:
    class Broken(TCPServer):
        async def get_request(self) -> tuple[object, object]:
            message = "not the listener"
            raise trio.ClosedResourceError(message)

    with trio.fail_after(STUCK):
        with pytest.raises(trio.ClosedResourceError, match="not the listener"):
            await Broken(LOOPBACK, UpperHandler).serve()


async def test_handle_error_may_be_called_without_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with TCPServer(LOOPBACK, UpperHandler) as server:
        await server.handle_error("request", "client")

    assert caplog.records == []


async def test_a_handler_nursery_that_is_cancelled_already_ends_serve() -> None:
    server = TCPServer(LOOPBACK, UpperHandler)
    with trio.fail_after(STUCK):
        async with server:
            async with trio.open_nursery() as nursery:
                await nursery.start(server.serve_forever)
                await server.shutdown()
            server._requests.cancel()
            await server.serve_forever()

    assert server.fileno() == -1


@pytest.mark.parametrize("host", ["a\0b", "\udcff"])
def test_a_host_that_cannot_be_one_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="give a host name or an IP address"):
        TCPServer((host, 0), UpperHandler)
