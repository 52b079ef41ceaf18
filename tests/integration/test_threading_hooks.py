"""The hooks of a request in a thread: where they run, and what they raise."""

from __future__ import annotations

import socket
import socketserver
import sys
import threading

import pytest
import trio

from kit.serving import (
    LOOPBACK,
    STUCK,
    ask,
    connect,
    receive_all,
    serving,
)
from kit.threads import UpperThreadHandler, handling, reply_of, threading_server
from trioserver import (
    BaseServer,
    TCPServer,
    ThreadingMixIn,
    ThreadingTCPServer,
)


class Journal:
    """Notes the calls of hooks, with the threads that they run in."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.threads: list[int] = []

    def note(self, name: str) -> None:
        self.names.append(name)
        self.threads.append(threading.get_ident())


class JournalServer(ThreadingTCPServer):
    """Has the hooks of a thread overridden, as plain functions."""

    def __init__(
        self, handler: type[socketserver.BaseRequestHandler] = UpperThreadHandler
    ) -> None:
        self.journal = Journal()
        super().__init__(LOOPBACK, handler)

    def process_request_thread(self, request: object, client_address: object) -> None:
        self.journal.note("process_request_thread")
        super().process_request_thread(request, client_address)

    def finish_request(self, request: object, client_address: object) -> None:  # type: ignore[override]  # in a thread
        self.journal.note("finish_request")
        super().finish_request(request, client_address)  # type: ignore[unused-coroutine]  # as above

    def handle_error(self, request: object, client_address: object) -> None:  # type: ignore[override]  # as above
        self.journal.note(f"handle_error {sys.exc_info()[1]!r}")

    def shutdown_request(self, request: object) -> None:  # type: ignore[override]  # as above
        self.journal.note("shutdown_request")
        super().shutdown_request(request)  # type: ignore[unused-coroutine]  # as above

    def close_request(self, request: object) -> None:  # type: ignore[override]  # as above
        self.journal.note("close_request")
        super().close_request(request)  # type: ignore[unused-coroutine]  # as above


class FailingHandler(socketserver.BaseRequestHandler):
    """Notes what is called, and fails."""

    def setup(self) -> None:
        self.server.journal.note("setup")  # type: ignore[attr-defined]  # it has one

    def handle(self) -> None:
        self.server.journal.note("handle")  # type: ignore[attr-defined]  # it has one
        message = "no"
        raise ValueError(message)

    def finish(self) -> None:
        self.server.journal.note("finish")  # type: ignore[attr-defined]  # it has one


async def test_a_request_runs_in_one_thread_from_its_setup_to_its_close() -> None:
    server = JournalServer(FailingHandler)

    assert await reply_of(server) == b""

    assert server.journal.names == [
        "process_request_thread",
        "finish_request",
        "setup",
        "handle",
        "finish",
        "handle_error ValueError('no')",
        "shutdown_request",
        "close_request",
    ]
    assert len(set(server.journal.threads)) == 1
    assert threading.get_ident() not in server.journal.threads


async def test_a_plain_hook_below_the_mix_in_is_called_and_calls_super(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As Django's WSGIServer has it."""
    seen: list[str] = []

    class Plain(TCPServer):
        def handle_error(self, request: object, client_address: object) -> None:  # type: ignore[override]  # in a thread
            seen.append("handle_error")
            super().handle_error(request, client_address)  # type: ignore[unused-coroutine]  # as above

        def close_request(self, request: object) -> None:  # type: ignore[override]  # as above
            seen.append("close_request")
            super().close_request(request)  # type: ignore[unused-coroutine]  # as above

    class Threaded(ThreadingMixIn, Plain):
        pass

    def fail(_: object) -> None:
        message = "no reason"
        raise ValueError(message)

    assert await reply_of(Threaded(LOOPBACK, handling(fail))) == b""

    assert seen == ["handle_error", "close_request"]
    assert "ValueError: no reason" in caplog.text


async def test_a_bare_raise_in_handle_error_ends_the_server() -> None:
    calls: list[str] = []

    class Strict(ThreadingTCPServer):
        def handle_error(self, request: object, client_address: object) -> None:  # type: ignore[override]  # in a thread
            calls.append("handle_error")
            raise  # noqa: PLE0704  # it runs inside an "except"

    def fail(_: object) -> None:
        message = "as it was raised"
        raise ValueError(message)

    server = Strict(LOOPBACK, handling(fail))
    with pytest.raises(ValueError, match="as it was raised"):
        await reply_of_a_dying(server)

    assert calls == ["handle_error"]
    assert server.fileno() == -1


async def reply_of_a_dying(server: TCPServer) -> None:
    """Let *server* handle a request that ends it."""
    with trio.fail_after(STUCK):
        async with await connect(server):
            await server.serve()


@pytest.mark.parametrize("exit_", [SystemExit, KeyboardInterrupt])
async def test_an_exit_in_a_handler_ends_the_server(
    exit_: type[BaseException],
) -> None:
    def leave(_: object) -> None:
        raise exit_

    with pytest.raises(exit_):
        await reply_of_a_dying(threading_server(leave))


async def test_an_error_of_closing_is_reported_and_the_server_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Clumsy(ThreadingTCPServer):
        def close_request(self, request: object) -> None:  # type: ignore[override]  # in a thread
            message = "cannot close"
            raise ValueError(message)

    async with serving(Clumsy(LOOPBACK, UpperThreadHandler)) as server:
        for _ in range(2):
            async with await connect(server) as client:
                assert await ask(client, b"hello\n") == b"HELLO\n"
                await client.send_eof()
                assert await receive_all(client) == b""

    assert caplog.text.count("ValueError: cannot close") == 2


async def test_what_ends_the_server_is_not_lost_when_closing_fails_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Clumsy(ThreadingTCPServer):
        def handle_error(self, request: object, client_address: object) -> None:  # type: ignore[override]  # in a thread
            if isinstance(sys.exception(), LookupError):
                super().handle_error(request, client_address)  # type: ignore[unused-coroutine]  # as above
            else:
                raise  # noqa: PLE0704  # it runs inside an "except"

        def close_request(self, request: object) -> None:  # type: ignore[override]  # as above
            raise LookupError

    def fail(_: object) -> None:
        message = "the first"
        raise ValueError(message)

    with pytest.raises(ValueError, match="the first"):
        await reply_of_a_dying(Clumsy(LOOPBACK, handling(fail)))

    assert "LookupError" in caplog.text


async def test_verify_request_is_given_the_same_request() -> None:
    seen: list[object] = []

    class Careful(ThreadingTCPServer):
        async def verify_request(self, request: object, client_address: object) -> bool:
            seen.append(request)
            return True

    server = Careful(LOOPBACK, handling(lambda self: seen.append(self.request)))
    await reply_of(server)

    verified, handled = seen
    assert verified is handled


async def test_a_request_that_is_not_verified_is_shut_down_in_a_thread() -> None:
    class Refusing(JournalServer):
        def verify_request(self, request: object, client_address: object) -> bool:  # type: ignore[override]  # plain is enough
            return False

    server = Refusing()

    assert await reply_of(server) == b""

    assert server.journal.names == ["shutdown_request", "close_request"]
    assert threading.get_ident() not in server.journal.threads


async def test_an_error_in_verify_request_is_reported_and_the_request_closed() -> None:
    class Broken(JournalServer):
        def verify_request(self, request: object, client_address: object) -> bool:  # type: ignore[override]  # plain is enough
            message = "no"
            raise ValueError(message)

    server = Broken()

    assert await reply_of(server) == b""

    assert server.journal.names == [
        "handle_error ValueError('no')",
        "shutdown_request",
        "close_request",
    ]


async def test_a_refused_request_whose_closing_fails_is_closed_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Clumsy(ThreadingTCPServer):
        async def verify_request(self, *_: object) -> bool:
            return False

        def close_request(self, request: object) -> None:  # type: ignore[override]  # in a thread
            message = "cannot close"
            raise RuntimeError(message)

    assert await reply_of(Clumsy(LOOPBACK, UpperThreadHandler)) == b""

    assert "RuntimeError: cannot close" in caplog.text


async def test_process_request_may_be_overridden_and_call_super() -> None:
    seen: list[str] = []

    class Counting(ThreadingTCPServer):
        async def process_request(
            self, request: object, client_address: object
        ) -> None:
            seen.append("before")
            await super().process_request(request, client_address)
            seen.append("after")

    assert await reply_of(Counting(LOOPBACK, UpperThreadHandler)) == b"HELLO\n"
    assert seen == ["before", "after"]


async def test_process_request_may_start_a_thread_of_its_own() -> None:
    """As thread pools do."""
    threads: list[threading.Thread] = []

    class Pool(ThreadingTCPServer):
        def process_request(self, request: object, client_address: object) -> None:  # type: ignore[override]  # plain is enough
            thread = threading.Thread(
                target=self.process_request_thread, args=(request, client_address)
            )
            thread.start()
            threads.append(thread)

        def handle_error(self, request: object, client_address: object) -> None:  # type: ignore[override]  # in a thread
            seen.append(sys.exception())

    def handle(self: socketserver.StreamRequestHandler) -> None:
        self.wfile.write(self.rfile.readline().upper())
        self.server.shutdown()
        raise LookupError

    seen: list[object] = []
    assert await reply_of(Pool(LOOPBACK, handling(handle))) == b"HELLO\n"
    (thread,) = threads
    await trio.to_thread.run_sync(thread.join)
    assert [type(error) for error in seen] == [LookupError]


async def test_an_error_of_a_foreign_thread_is_its_own() -> None:
    """Its ``handle_error`` cannot end a server that does not wait for it."""
    raised: list[object] = []

    class Pool(ThreadingTCPServer):
        def process_request(self, request: object, client_address: object) -> None:  # type: ignore[override]  # plain is enough
            self.thread = threading.Thread(
                target=self.process, args=(request, client_address)
            )
            self.thread.start()

        def process(self, request: object, client_address: object) -> None:
            try:
                self.process_request_thread(request, client_address)
            except LookupError as error:
                raised.append(error)

        def handle_error(self, request: object, client_address: object) -> None:  # type: ignore[override]  # in a thread
            raise LookupError

    def fail(_: object) -> None:
        raise ValueError

    server = Pool(LOOPBACK, handling(fail))
    assert await reply_of(server) == b""
    await trio.to_thread.run_sync(server.thread.join)
    assert len(raised) == 1


class LineServer(ThreadingMixIn, BaseServer):
    """Has one line to serve, already open, and neither listens nor connects."""

    def __init__(self, line: socket.socket) -> None:
        super().__init__("a line", UpperThreadHandler)
        self.lines = [line]

    async def get_request(self) -> tuple[socket.socket, str]:
        while not self.lines:
            await trio.sleep_forever()
        return self.lines.pop(), "who is at the other end"

    def close_request(self, request: socket.socket) -> None:  # type: ignore[override]  # in a thread
        request.close()


async def test_requests_may_come_from_anywhere() -> None:
    line, peer = socket.socketpair()
    with peer:
        peer.sendall(b"hello\n")
        peer.shutdown(socket.SHUT_WR)
        async with serving(LineServer(line)):
            client = trio.SocketStream(trio.socket.from_stdlib_socket(peer.dup()))
            assert await receive_all(client) == b"HELLO\n"
            await client.aclose()
