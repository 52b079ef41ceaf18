"""The handlers by themselves: awaited on streams in memory."""

from __future__ import annotations

import functools
import socketserver
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TypeVar

import pytest
import trio
import trio.testing

from kit.serving import LOOPBACK, UpperHandler
from trioserver import BaseRequestHandler, StreamRequestHandler, TCPServer


async def test_a_handler_is_awaited_on_any_stream() -> None:
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(b"hello\n")
    await client.send_eof()

    await UpperHandler(stream, "a client", None)

    assert await client.receive_some() == b"HELLO\n"


async def test_a_base_handler_does_nothing_by_itself() -> None:
    handler = BaseRequestHandler("request", "address", "server")

    await handler

    assert (handler.request, handler.client_address) == ("request", "address")
    assert handler.server == "server"


async def test_finish_closes_both_files() -> None:
    client, stream = trio.testing.memory_stream_pair()
    await client.send_eof()
    handler = UpperHandler(stream, "a client", None)

    await handler

    assert handler.rfile.closed
    assert handler.wfile.closed


async def test_finish_is_content_when_the_handler_has_closed_its_writer() -> None:
    class Closing(StreamRequestHandler):
        async def handle(self) -> None:
            self.wfile.close()

    _, stream = trio.testing.memory_stream_pair()

    await Closing(stream, "a client", None)


async def test_a_peer_that_is_gone_is_no_error_in_finish() -> None:
    class Late(StreamRequestHandler):
        wbufsize = -1

        async def handle(self) -> None:
            await self.wfile.write(b"too late")

    client, stream = trio.testing.memory_stream_pair()
    await client.aclose()
    handler = Late(stream, "a client", None)

    await handler

    assert handler.rfile.closed


async def test_a_bad_timeout_is_refused_before_anything_is_read() -> None:
    class Hasty(UpperHandler):
        timeout = -1

    _, stream = trio.testing.memory_stream_pair()

    with pytest.raises(ValueError, match="timeout must be 0 or more"):
        await Hasty(stream, "a client", None)


class Synchronous(socketserver.StreamRequestHandler):
    """As written for socketserver."""


class SynchronousBase(socketserver.BaseRequestHandler):
    """As written for socketserver."""


class PlainHandle(StreamRequestHandler):
    """Forgets the async."""

    def handle(self) -> None:  # type: ignore[override]  # that is what is wrong
        """Do nothing that waits."""


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        ("upper", "must be a class derived from BaseRequestHandler"),
        (None, "any callable"),
        (Synchronous, r"Synchronous is .*trioserver\.StreamRequestHandler"),
        (SynchronousBase, r"SynchronousBase is .*trioserver\.BaseRequestHandler"),
        (PlainHandle, "PlainHandle.handle is a plain function"),
    ],
    ids=str,
)
def test_a_handler_that_cannot_work_is_refused(handler: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        TCPServer(LOOPBACK, handler)  # type: ignore[arg-type]  # that is the test


def test_a_handler_that_cannot_work_is_refused_later_too() -> None:
    with TCPServer(LOOPBACK, UpperHandler) as server:
        with pytest.raises(TypeError, match="synchronous handler"):
            server.RequestHandlerClass = Synchronous

        assert server.RequestHandlerClass is UpperHandler


HandlerT = TypeVar("HandlerT", bound=StreamRequestHandler)

Handle = Callable[[HandlerT], Coroutine[object, object, None]]


def wrapped(handle: Handle[HandlerT]) -> Handle[HandlerT]:
    """Wrap *handle* in a plain function that returns its coroutine."""

    @functools.wraps(handle)
    def wrapper(self: HandlerT) -> Coroutine[object, object, None]:
        return handle(self)

    return wrapper


async def test_a_decorated_handle_is_accepted() -> None:
    class Decorated(StreamRequestHandler):
        line = b""

        @wrapped
        async def handle(self) -> None:
            self.line = await self.rfile.readline()

    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(b"decorated\n")

    with TCPServer(LOOPBACK, Decorated) as server:
        handler = Decorated(stream, "client", server)
        await handler

    assert handler.line == b"decorated\n"


async def test_a_handle_that_yields_its_replies_is_refused() -> None:
    class Yielding(StreamRequestHandler):
        async def handle(self) -> AsyncIterator[bytes]:  # type: ignore[override]  # it is wrong
            yield b"as WSGI applications do"

    with pytest.raises(TypeError, match=r"Yielding\.handle is an asynchronous gen"):
        TCPServer(LOOPBACK, Yielding)

    handler = Yielding("request", "a client", None)
    assert [reply async for reply in handler.handle()] == [b"as WSGI applications do"]


async def test_a_handler_that_is_thrown_away_is_not_finished() -> None:
    class Waiting(BaseRequestHandler):
        async def handle(self) -> None:
            await trio.lowlevel.checkpoint()

        async def finish(self) -> None:
            finished.append(self.request)

    finished: list[str] = []
    await Waiting("ended", "a client", None)
    running = Waiting("thrown away", "a client", None).__await__()
    next(running)

    running.close()

    assert finished == ["ended"]
