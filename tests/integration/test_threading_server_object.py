"""`self.server` in a thread: the server, with nothing left to await."""

from __future__ import annotations

import socketserver
import threading

import pytest
import trio

from kit.serving import LOOPBACK, STUCK, connect, receive_all, serving
from kit.threads import AnyHandler, Handle, handling, reply_of
from trioserver import TCPServer, ThreadingMixIn, ThreadingTCPServer


class Application(ThreadingTCPServer):
    """A server as users have it."""

    limit_of_words = 3

    def __init__(self, handle: Handle) -> None:
        self.words: list[str] = []
        self.threads: list[int] = []
        super().__init__(LOOPBACK, handling(handle))

    @property
    def last_word(self) -> str:
        """The word that was said last."""
        return self.words[-1]

    def say(self, word: str) -> int:
        """Remember a *word*, in the caller's thread."""
        self.words.append(word)
        return len(self.words)

    async def ask(self, question: str, *, loudly: bool = False) -> str:
        """Answer, in Trio's thread."""
        self.threads.append(threading.get_ident())
        await trio.lowlevel.checkpoint()
        return question.upper() if loudly else question

    @staticmethod
    async def add(first: int, second: int) -> int:
        """Add two numbers."""
        await trio.lowlevel.checkpoint()
        return first + second

    async def fail(self) -> None:
        """Raise an error."""
        await trio.lowlevel.checkpoint()
        message = "in Trio"
        raise LookupError(message)


class SeenByHandler:
    """What a handler has found out about its server."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}

    def handle(self, handler: AnyHandler) -> None:
        """Find out."""
        server = handler.server
        self.values = {
            "a class attribute": server.limit_of_words,
            "a plain method": server.say("hello"),
            "a property": server.last_word,
            "an asynchronous method": server.ask("why?", loudly=True),
            "an asynchronous static method": server.add(1, 2),
            "an attribute that was set before": server.colour,
            "the bound address": server.server_address,
            "what runs": server.requests_in_flight,
        }
        server.colour = "blue"
        server.words.append("from the handler")


async def test_attributes_and_methods_pass_through() -> None:
    seen = SeenByHandler()
    server = Application(seen.handle)
    server.colour = "red"

    await reply_of(server)

    assert seen.values == {
        "a class attribute": 3,
        "a plain method": 1,
        "a property": "hello",
        "an asynchronous method": "WHY?",
        "an asynchronous static method": 3,
        "an attribute that was set before": "red",
        "the bound address": server.server_address,
        "what runs": 1,
    }
    assert server.colour == "blue"  # type: ignore[attr-defined]  # as above
    assert server.words == ["hello", "from the handler"]
    assert server.threads == [threading.get_ident()]


async def test_it_is_an_instance_of_the_classes_of_the_server() -> None:
    seen: list[object] = []

    def look(handler: AnyHandler) -> None:
        server = handler.server
        seen.extend(
            isinstance(server, class_)
            for class_ in (Application, ThreadingTCPServer, ThreadingMixIn, TCPServer)
        )
        seen.append(type(server).__name__)
        seen.append(repr(server).startswith("<Application 127.0.0.1:"))

    await reply_of(Application(look))

    assert seen == [True, True, True, True, "Application", True]


async def test_it_equals_the_server_and_nothing_else() -> None:
    seen: list[object] = []
    server = Application(lambda handler: seen.append(handler.server))

    await reply_of(server)
    await reply_of(other := Application(lambda handler: seen.append(handler.server)))

    first, second = seen
    assert first == server
    assert hash(first) == hash(server)
    assert first == first  # noqa: PLR0124  # with itself
    assert first != second
    assert first != other
    assert {server: "found"}[first] == "found"


async def test_an_error_of_an_asynchronous_method_is_raised_in_the_thread() -> None:
    seen: list[object] = []

    def look(handler: AnyHandler) -> None:
        with pytest.raises(LookupError, match="in Trio"):
            handler.server.fail()
        seen.append("raised")

    await reply_of(Application(look))

    assert seen == ["raised"]


async def test_any_thread_of_a_handler_may_use_it() -> None:
    seen: list[object] = []

    def look(handler: AnyHandler) -> None:
        thread = threading.Thread(
            target=lambda: seen.append(handler.server.ask("from elsewhere"))
        )
        thread.start()
        thread.join()

    await reply_of(Application(look))

    assert seen == ["from elsewhere"]


async def test_an_asynchronous_method_that_waits_is_cancelled_with_the_request() -> (
    None
):
    begun = threading.Event()

    class Slow(ThreadingTCPServer):
        async def wait(self) -> None:
            begun.set()
            await trio.sleep_forever()

    server = Slow(LOOPBACK, handling(lambda handler: handler.server.wait()))
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            async with await connect(server):
                while not begun.is_set():
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()

    assert server.thread_limiter.borrowed_tokens == 0


async def test_a_setting_takes_effect_and_is_checked() -> None:
    seen: list[object] = []

    def change(handler: AnyHandler) -> None:
        handler.server.max_concurrent_requests = 7
        handler.server.max_threads = 5
        with pytest.raises(TypeError, match="max_concurrent_requests must be"):
            handler.server.max_concurrent_requests = "many"
        seen.append(handler.server.max_threads)

    server = Application(change)
    await reply_of(server)

    assert seen == [5]
    assert (server.max_concurrent_requests, server.max_threads) == (7, 5)
    assert server.thread_limiter.total_tokens == 5


async def test_the_daemon_flag_may_be_set_from_a_thread() -> None:
    def change(handler: AnyHandler) -> None:
        handler.server.daemon_threads = True

    server = Application(change)
    await reply_of(server)

    assert server.daemon_requests is True


async def test_its_plain_with_closes_the_server() -> None:
    def close(handler: AnyHandler) -> None:
        with handler.server:
            pass

    server = Application(close)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            async with await connect(server) as client:
                assert await receive_all(client) == b""

    assert server.fileno() == -1


async def test_it_is_not_for_the_thread_of_trio() -> None:
    seen: list[object] = []
    server = Application(lambda handler: seen.append(handler.server))
    async with serving(server):
        async with await connect(server) as client:
            assert await receive_all(client) == b""
        (proxy,) = seen
        assert isinstance(proxy, Application)
        with pytest.raises(RuntimeError, match="call it from a thread"):
            await proxy.shutdown()


async def test_a_class_that_notes_its_subclasses_hears_of_none() -> None:
    heard: list[type] = []

    class Registry(ThreadingTCPServer):
        def __init_subclass__(cls) -> None:
            heard.append(cls)

    class Server(Registry):
        pass

    await reply_of(Server(LOOPBACK, handling(lambda handler: handler.server)))

    assert heard == [Server]


async def test_a_method_that_overrides_finish_request_gives_its_self_away() -> None:
    """As the servers of ``python -m http.server`` do, to add an argument."""
    seen: list[object] = []

    class Handler(socketserver.BaseRequestHandler):
        def __init__(self, *arguments: AnyHandler, directory: str) -> None:
            self.directory = directory
            super().__init__(*arguments)

        def handle(self) -> None:
            seen.append(self.directory)
            self.server.shutdown()

    class Server(ThreadingTCPServer):
        def finish_request(self, request: object, client_address: object) -> None:  # type: ignore[override]  # in a thread
            assert isinstance(self.RequestHandlerClass, type)
            self.RequestHandlerClass(request, client_address, self, directory="/srv")

    await reply_of(Server(LOOPBACK, Handler))  # type: ignore[arg-type]  # see above

    assert seen == ["/srv"]
