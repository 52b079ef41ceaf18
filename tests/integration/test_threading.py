"""Synchronous handlers in threads: what they are given, and what they may do."""

from __future__ import annotations

import contextvars
import select
import socket
import socketserver
import sys
import threading
from functools import partial

import pytest
import trio

from kit.serving import (
    LOOPBACK,
    STUCK,
    UpperHandler,
    ask,
    connect,
    eventually,
    receive_all,
    serving,
)
from kit.threads import Gate, UpperThreadHandler, handling, threading_server
from trioserver import (
    BaseServer,
    TCPServer,
    ThreadingMixIn,
    ThreadingTCPServer,
    UDPServer,
)


async def reply_of(server: TCPServer, sends: bytes = b"hello\n") -> bytes:
    """Return all that one client is answered."""
    async with serving(server):
        async with await connect(server) as client:
            await client.send_all(sends)
            await client.send_eof()
            return await receive_all(client)


async def test_runs_an_unchanged_handler_of_the_standard_library() -> None:
    async with serving(ThreadingTCPServer(LOOPBACK, UpperThreadHandler)) as server:
        async with await connect(server) as client:
            assert await ask(client, b"one\n") == b"ONE\n"
            assert await ask(client, b"two\n") == b"TWO\n"
            await client.send_eof()
            assert await receive_all(client) == b""

    assert server.thread_limiter.borrowed_tokens == 0


async def test_the_request_is_a_real_blocking_socket() -> None:
    seen: list[object] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            request = self.request
            seen.extend([type(request), request.gettimeout(), request.getblocking()])
            seen.append(request.getpeername() == self.client_address)
            seen.append(select.select([request], [], [])[0] == [request])
            request.settimeout(STUCK)
            with request.makefile("rwb") as file:
                file.write(file.readline().upper())
            request.shutdown(socket.SHUT_WR)

    reply = await reply_of(ThreadingTCPServer(LOOPBACK, Handler))

    assert reply == b"HELLO\n"
    assert seen == [socket.socket, None, True, True, True]


async def test_the_request_has_the_default_timeout_of_sockets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[float | None] = []
    server = threading_server(lambda self: seen.append(self.request.gettimeout()))
    monkeypatch.setattr(socket, "getdefaulttimeout", lambda: 12.5)

    await reply_of(server)

    assert seen == [12.5]


async def test_handlers_run_at_once_each_in_a_thread_of_its_own() -> None:
    gate, threads = Gate(), set[int]()

    def handle(_: object) -> None:
        threads.add(threading.get_ident())
        gate.wait()

    async with serving(threading_server(handle)) as server:
        async with await connect(server), await connect(server):
            await gate.wait_inside(2)
            gate.open()

    assert len(threads) == 2
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("wrap", [partial, lambda function: function])
async def test_any_callable_may_be_the_handler(wrap: type[partial[None]]) -> None:
    def greet(request: socket.socket, client_address: object, server: object) -> None:
        request.sendall(b"hello")

    assert await reply_of(ThreadingTCPServer(LOOPBACK, wrap(greet))) == b"hello"


async def test_a_handler_sees_the_context_of_the_server() -> None:
    variable = contextvars.ContextVar("variable", default="nothing")
    seen: list[str] = []
    variable.set("something")

    await reply_of(threading_server(lambda _: seen.append(variable.get())))

    assert seen == ["something"]


# Hooks


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
        async with await connect(server) as client:
            await server.serve()
            assert await receive_all(client) == b""


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


# Wrong use


@pytest.mark.parametrize(
    ("server_class", "right_class"),
    [(ThreadingTCPServer, "trioserver.TCPServer")],
)
def test_an_asynchronous_handler_is_refused_with_the_right_class(
    server_class: type[TCPServer], right_class: str
) -> None:
    with pytest.raises(TypeError, match=f"serve it with {right_class}, or"):
        server_class(LOOPBACK, UpperHandler)


def test_a_coroutine_function_is_refused() -> None:
    async def handle(*_: object) -> None:
        """Is never called."""

    with pytest.raises(TypeError, match="handle is asynchronous"):
        ThreadingTCPServer(LOOPBACK, handle)


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="any callable"):
        ThreadingTCPServer(LOOPBACK, None)  # type: ignore[arg-type]  # on purpose


async def test_what_turns_out_to_be_asynchronous_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handle(*_: object) -> None:
        """Is never awaited."""

    def handle_later(*arguments: object) -> object:
        return handle(*arguments)

    def upper_later(*arguments: object) -> object:
        return UpperHandler(*arguments)

    for later in (handle_later, upper_later):
        assert await reply_of(ThreadingTCPServer(LOOPBACK, later)) == b""

    assert caplog.text.count("leave ThreadingMixIn out") == 2


@pytest.mark.parametrize(
    ("server_class", "right_name"),
    [
        (TCPServer, "trioserver.ThreadingTCPServer"),
        (UDPServer, "trioserver.ThreadingUDPServer"),
        (BaseServer, "trioserver.ThreadingMixIn"),
    ],
)
def test_a_synchronous_handler_on_a_plain_server_is_refused_with_the_right_class(
    server_class: type[BaseServer], right_name: str
) -> None:
    with pytest.raises(TypeError, match=f"serve it with {right_name}, or derive it"):
        server_class(LOOPBACK, UpperThreadHandler)


@pytest.mark.parametrize(
    "mixin", [socketserver.ThreadingMixIn, socketserver.ForkingMixIn]
)
def test_a_mix_in_of_the_standard_library_is_refused_with_the_right_one(
    mixin: type,
) -> None:
    class Server(mixin, TCPServer):  # type: ignore[misc]  # of two libraries
        pass

    with pytest.raises(TypeError, match=f"take trioserver.{mixin.__name__}"):
        Server(LOOPBACK, UpperHandler)


@pytest.mark.parametrize(
    "name",
    ["finish_request", "handle_error", "shutdown_request", "close_request"],
)
def test_an_asynchronous_hook_where_threads_call_it_is_refused(name: str) -> None:
    async def hook(*_: object) -> None:
        """Is never called."""

    below = type("Below", (TCPServer,), {name: hook})
    server_class = type("Server", (ThreadingMixIn, below), {})

    with pytest.raises(TypeError, match=rf"Below\.{name} must be a plain function"):
        server_class(LOOPBACK, UpperThreadHandler)


# Shortages


async def test_no_thread_to_start_is_one_requests_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    async with serving(ThreadingTCPServer(LOOPBACK, UpperThreadHandler)) as server:
        with monkeypatch.context() as patch:
            patch.setattr(trio._threads, "start_thread_soon", refuse)
            async with await connect(server) as client:
                assert await receive_all(client) == b""
        async with await connect(server) as client:
            assert await ask(client, b"again\n") == b"AGAIN\n"

    assert caplog.text.count("RuntimeError: can't start new thread") == 1
    assert server.thread_limiter.borrowed_tokens == 0


async def test_no_descriptor_for_the_interruption_is_one_requests_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: int) -> int:
        message = "too many open files"
        raise OSError(message)

    async with serving(ThreadingTCPServer(LOOPBACK, UpperThreadHandler)) as server:
        with monkeypatch.context() as patch:
            patch.setattr(socket, "dup", refuse)
            async with await connect(server) as client:
                assert await receive_all(client) == b""
        async with await connect(server) as client:
            assert await ask(client, b"again\n") == b"AGAIN\n"

    assert "too many open files" in caplog.text


async def test_a_limit_of_threads_keeps_requests_waiting() -> None:
    gate = Gate()
    server = threading_server(lambda _: gate.wait(), max_threads=1)

    async with serving(server):
        async with await connect(server), await connect(server):
            await gate.wait_inside(1)
            await eventually(lambda: server.requests_in_flight == 2)
            await trio.testing.wait_all_tasks_blocked()
            assert gate.inside == 1
            server.max_threads = 2
            await gate.wait_inside(2)
            assert server.thread_limiter.borrowed_tokens == 2
            gate.open()

    assert server.thread_limiter.total_tokens == 2


async def test_fifty_blocked_handlers_do_not_starve_the_threads_of_others() -> None:
    gate = Gate()
    server = threading_server(lambda _: gate.wait())
    async with serving(server), trio.open_nursery() as nursery:
        clients = [await connect(server) for _ in range(50)]
        await gate.wait_inside(50)
        assert await trio.socket.getaddrinfo("localhost", 0)
        await trio.to_thread.run_sync(gate.open)
        for client in clients:
            nursery.start_soon(close_at_the_end, client)

    assert gate.passed == 50


async def close_at_the_end(client: trio.SocketStream) -> None:
    """Close when the server closes."""
    async with client:
        assert await receive_all(client) == b""


# Settings


@pytest.mark.parametrize("name", ["daemon_threads", "daemon_requests"])
def test_the_daemon_flag_has_two_names_and_is_one_setting(name: str) -> None:
    class Server(ThreadingTCPServer):
        pass

    setattr(Server, name, True)
    with Server(LOOPBACK, UpperThreadHandler) as server:
        assert (server.daemon_threads, server.daemon_requests) == (True, True)
        setattr(server, name, False)
        assert (server.daemon_threads, server.daemon_requests) == (False, False)


def test_the_flag_of_a_subclass_counts_more_than_the_other_of_its_base() -> None:
    class Base(ThreadingTCPServer):
        daemon_threads = True

    class Server(Base):
        daemon_requests = False

    with Server(LOOPBACK, UpperThreadHandler) as server:
        assert server.daemon_threads is False


@pytest.mark.parametrize("limit", [0, -1, 1.5])
def test_an_impossible_limit_is_refused(limit: float) -> None:
    class Server(ThreadingTCPServer):
        max_threads = limit

    with pytest.raises((TypeError, ValueError), match="max_threads"):
        Server(LOOPBACK, UpperThreadHandler)
    with ThreadingTCPServer(LOOPBACK, UpperThreadHandler) as server:
        with pytest.raises((TypeError, ValueError), match="max_threads"):
            server.max_threads = limit
