"""Threading servers of both libraries, with the same handlers and the same overrides.

The handlers are the standard library's, and the hooks are plain functions, in both.
"""

from __future__ import annotations

import socketserver
import sys
import threading
from collections.abc import Mapping

import attrs
import pytest
import trio

from kit.serving import LOOPBACK, receive_all, receive_line
from parity.libraries import Either, Library, both_libraries, differs
from parity.scenario import POLL_INTERVAL, closing, open_client

BEFORE = ["verify_request", "process_request_thread", "finish_request"]
HANDLED = ["setup", "handle", "finish"]
SHUT_DOWN = ["shutdown_request", "close_request"]


@attrs.define
class Story:
    """What happened to one request, and where."""

    raises: Mapping[str, type[BaseException]] = attrs.field(factory=dict)
    entries: list[str] = attrs.field(factory=list)
    threads: set[int] = attrs.field(factory=set)
    seen: list[object] = attrs.field(factory=list)

    def note(self, name: str) -> None:
        """Note that *name* is called; in a thread, unless it is the server's."""
        self.entries.append(name)
        if name != "verify_request":
            self.threads.add(threading.get_ident())
        if name in self.raises:
            raise self.raises[name](name)


class UpperHandler(socketserver.StreamRequestHandler):
    """Answers one line in upper case, and notes all that happens."""

    @property
    def story(self) -> Story:
        server: Either = self.server
        story: Story = server.story
        return story

    def setup(self) -> None:
        super().setup()
        self.story.note("setup")

    def handle(self) -> None:
        self.wfile.write(self.rfile.readline().upper())
        self.story.note("handle")

    def finish(self) -> None:
        super().finish()
        self.story.note("finish")


def make_server(
    library: Library,
    story: Story,
    handler: type[socketserver.BaseRequestHandler] = UpperHandler,
    **settings: object,
) -> Either:
    """Return a threading server that notes the calls of its hooks in *story*."""
    base = library.class_("ThreadingTCPServer")

    class Server(base):  # type: ignore[misc, valid-type]  # of either library
        def verify_request(self, *arguments: Either) -> bool:
            story.note("verify_request")
            return settings.get("verifies") is not False

        def process_request_thread(self, *arguments: Either) -> None:
            story.note("process_request_thread")
            super().process_request_thread(*arguments)

        def finish_request(self, *arguments: Either) -> None:
            story.note("finish_request")
            super().finish_request(*arguments)

        def handle_error(self, *arguments: Either) -> None:
            error = sys.exc_info()[1]
            assert error is not None
            before = f" after {error.__context__!r}" if error.__context__ else ""
            story.note(f"handle_error with {error!r}{before}")

        def shutdown_request(self, *arguments: Either) -> None:
            story.note("shutdown_request")
            super().shutdown_request(*arguments)

        def close_request(self, *arguments: Either) -> None:
            story.note("close_request")
            super().close_request(*arguments)

    server = Server(LOOPBACK, handler)
    server.story = story
    return server


async def play(library: Library, server: Either, sends: bytes = b"hello\n") -> bytes:
    """Let *server* serve one client; return the reply."""
    async with closing(library, server), trio.open_nursery() as nursery:
        nursery.start_soon(library.call, server.serve_forever, POLL_INTERVAL)
        async with await open_client(server) as client:
            await client.send_all(sends)
            await client.send_eof()
            reply = await receive_all(client)
        await library.call(server.shutdown)
    return reply


@both_libraries
async def test_hooks_of_a_request(library: Library) -> None:
    story = Story()

    reply = await play(library, make_server(library, story))

    assert reply == b"HELLO\n"
    assert story.entries == BEFORE + HANDLED + SHUT_DOWN
    assert len(story.threads) == 1
    assert threading.get_ident() not in story.threads


FAILURES: list[tuple[dict[str, type[BaseException]], list[str]]] = [
    (
        {"setup": ValueError},
        ["setup", "handle_error with ValueError('setup')"],
    ),
    (
        {"handle": ValueError},
        [*HANDLED, "handle_error with ValueError('handle')"],
    ),
    (
        {"finish": ValueError},
        [*HANDLED, "handle_error with ValueError('finish')"],
    ),
    (
        {"handle": ValueError, "finish": KeyError},
        [*HANDLED, "handle_error with KeyError('finish') after ValueError('handle')"],
    ),
    (
        {"finish_request": ValueError},
        ["handle_error with ValueError('finish_request')"],
    ),
]


@both_libraries
@pytest.mark.parametrize(("raises", "expected"), FAILURES)
async def test_hooks_of_a_request_that_fails(
    library: Library, raises: dict[str, type[BaseException]], expected: list[str]
) -> None:
    story = Story(raises)

    await play(library, make_server(library, story), sends=b"")

    assert story.entries == BEFORE + expected + SHUT_DOWN


@both_libraries
async def test_hooks_of_a_request_that_is_not_verified(library: Library) -> None:
    story = Story()

    reply = await play(library, make_server(library, story, verifies=False), sends=b"")

    assert reply == b""
    assert story.entries == ["verify_request", *SHUT_DOWN]


@both_libraries
async def test_a_handler_is_given_a_blocking_socket_its_client_and_the_server(
    library: Library,
) -> None:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            server: Either = self.server
            seen = server.story.seen
            seen.append(self.request.gettimeout())
            seen.append(self.request.getpeername() == self.client_address)
            seen.append(isinstance(server, library.class_("ThreadingMixIn")))
            seen.append(server.server_address == self.request.getsockname())
            server.found = "by the handler"
            self.request.sendall(self.request.recv(100).upper())

    story = Story()
    server = make_server(library, story, Handler)

    assert await play(library, server) == b"HELLO\n"
    assert story.seen == [None, True, True, True]
    assert server.found == "by the handler"


@both_libraries
async def test_requests_run_at_once(library: Library) -> None:
    both = threading.Barrier(2)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            both.wait()
            self.wfile.write(b"met\n")

    server = make_server(library, Story(), Handler)
    async with closing(library, server), trio.open_nursery() as nursery:
        nursery.start_soon(library.call, server.serve_forever, POLL_INTERVAL)
        async with await open_client(server) as first:
            async with await open_client(server) as second:
                replies = [await receive_line(first), await receive_line(second)]
        await library.call(server.shutdown)

    assert replies == [b"met\n", b"met\n"]


@both_libraries
async def test_a_handler_shuts_the_server_down(library: Library) -> None:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.server.shutdown()

    server = make_server(library, Story(), Handler)
    async with closing(library, server), trio.open_nursery() as nursery:
        nursery.start_soon(library.call, server.serve_forever, POLL_INTERVAL)
        async with await open_client(server) as client:
            assert await receive_all(client) == b""


@both_libraries
async def test_server_close_waits_for_threads(library: Library) -> None:
    begun, go_on, over = threading.Event(), threading.Event(), threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            begun.set()
            go_on.wait()
            over.set()

    server = make_server(library, Story(), Handler)
    async with closing(library, server), trio.open_nursery() as nursery:
        nursery.start_soon(library.call, server.serve_forever, POLL_INTERVAL)
        async with await open_client(server):
            await trio.to_thread.run_sync(begun.wait)
            await library.call(server.shutdown)
            go_on.set()
            await library.call(server.server_close)
            assert over.is_set()


@differs(socketserver=0, trioserver=1)
async def test_clients_who_are_sent_a_reply_and_have_sent_more_than_was_read(
    library: Library, expected: int
) -> None:
    """The end of the reply is lost there; how much of it, the kernel decides."""
    reply = bytes(1_000_000)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(reply)

    async def receive(client: trio.SocketStream) -> bytes:
        received = bytearray()
        try:
            async for data in client:
                received += data
        except trio.BrokenResourceError:
            pass
        return bytes(received)

    server = make_server(library, Story(), Handler)
    async with closing(library, server), trio.open_nursery() as nursery:
        nursery.start_soon(library.call, server.serve_forever, POLL_INTERVAL)
        async with await open_client(server) as client:
            await client.send_all(b"unread")
            received = await receive(client)
        await library.call(server.shutdown)

    assert (received == reply) == bool(expected)
