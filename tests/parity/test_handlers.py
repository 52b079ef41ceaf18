"""What a handler is given, and what may stand in for a handler class."""

from __future__ import annotations

from functools import partial

from parity.journal import Journal
from parity.libraries import Either, Function, Library, both_libraries
from parity.scenario import (
    closing,
    handle_one,
    make_server,
    open_client,
    recording_server,
    upper_line,
)


@both_libraries
async def test_a_handler_knows_its_request_client_and_server(library: Library) -> None:
    seen: list[Either] = []

    def remember(handler: Either) -> Either:
        seen.extend([handler.request, handler.client_address, handler.server])
        yield

    journal = Journal()
    server = recording_server(library, journal, remember)
    async with closing(library, server), await open_client(server) as client:
        await client.send_eof()
        await library.call(server.handle_request)
        address = client.socket.getsockname()

    assert seen == [journal.request, address, server]


@both_libraries
async def test_the_connection_of_a_stream_handler_is_its_request(
    library: Library,
) -> None:
    seen: list[Either] = []

    def remember(handler: Either) -> Either:
        seen.append(handler.connection is handler.request)
        yield

    server = make_server(library, remember)
    async with closing(library, server):
        await handle_one(library, server)

    assert seen == [True]


@both_libraries
async def test_the_files_of_a_stream_handler_are_closed_in_the_end(
    library: Library,
) -> None:
    seen: list[Either] = []

    def remember(handler: Either) -> Either:
        seen.append(handler)
        seen.append((handler.rfile.closed, handler.wfile.closed))
        yield

    server = make_server(library, remember)
    async with closing(library, server):
        await handle_one(library, server)

    handler, before = seen
    assert before == (False, False)
    assert (handler.rfile.closed, handler.wfile.closed) == (True, True)


@both_libraries
async def test_a_handler_may_close_its_files_itself(library: Library) -> None:
    def close_both(handler: Either) -> Either:
        yield from upper_line(handler)
        handler.wfile.close()
        handler.rfile.close()

    journal = Journal()
    server = recording_server(library, journal, close_both)
    async with closing(library, server):
        reply = await handle_one(library, server, b"hello\n")

    assert reply == b"HELLO\n"
    assert not any("handle_error" in entry for entry in journal.entries)


@both_libraries
async def test_a_handler_may_close_its_request_itself(library: Library) -> None:
    def close_request(handler: Either) -> Either:
        yield from upper_line(handler)
        yield library.close_request(handler.request)

    journal = Journal()
    server = recording_server(library, journal, close_request)
    async with closing(library, server):
        reply = await handle_one(library, server, b"hello\n")

    assert reply == b"HELLO\n"
    assert not any("handle_error" in entry for entry in journal.entries)


@both_libraries
async def test_a_base_handler_talks_to_the_request_itself(library: Library) -> None:
    def upper(handler: Either) -> Either:
        data = yield library.receive_some(handler.request, 2000)
        yield library.send_all(handler.request, data.upper())

    server = make_server(library)
    server.RequestHandlerClass = library.handler(upper, "BaseRequestHandler")
    async with closing(library, server):
        reply = await handle_one(library, server, b"hello\n")

    assert reply == b"HELLO\n"


@both_libraries
async def test_setup_and_finish_of_a_base_handler_do_nothing(library: Library) -> None:
    server = make_server(library)
    server.RequestHandlerClass = library.class_("BaseRequestHandler")

    async with closing(library, server):
        reply = await handle_one(library, server)

    assert reply == b""


def greeting(library: Library) -> Function:
    """Return a function that handles a request by sending a word and the address."""

    def greet(
        request: Either, client_address: Either, server: Either, word: str = "Hi"
    ) -> Either:
        yield library.send_all(request, f"{word} {client_address[0]}".encode())

    return library.function(greet)


@both_libraries
async def test_a_function_may_be_the_handler(library: Library) -> None:
    server = make_server(library)
    server.RequestHandlerClass = greeting(library)

    async with closing(library, server):
        reply = await handle_one(library, server)

    assert reply == b"Hi 127.0.0.1"


@both_libraries
async def test_a_lambda_may_be_the_handler(library: Library) -> None:
    greet = greeting(library)
    server = make_server(library)
    server.RequestHandlerClass = lambda *arguments: greet(*arguments, "Hey")

    async with closing(library, server):
        reply = await handle_one(library, server)

    assert reply == b"Hey 127.0.0.1"


@both_libraries
async def test_a_method_may_be_the_handler(library: Library) -> None:
    class Greeter:
        def greet(self, *arguments: Either) -> object:
            return greeting(library)(*arguments)

    server = make_server(library)
    server.RequestHandlerClass = Greeter().greet
    async with closing(library, server):
        reply = await handle_one(library, server)

    assert reply == b"Hi 127.0.0.1"


@both_libraries
async def test_a_partial_may_be_the_handler_and_bring_more_arguments(
    library: Library,
) -> None:
    server = make_server(library)
    server.RequestHandlerClass = partial(greeting(library), word="Hello")

    async with closing(library, server):
        reply = await handle_one(library, server)

    assert reply == b"Hello 127.0.0.1"


@both_libraries
async def test_a_partial_of_a_class_may_be_the_handler(library: Library) -> None:
    words: list[str] = []

    class Worded(library.handler(upper_line)):  # type: ignore[misc]  # of two libraries
        def __init__(self, *arguments: Either, word: str) -> None:
            words.append(word)
            super().__init__(*arguments)

    server = make_server(library)
    server.RequestHandlerClass = partial(Worded, word="extra")
    async with closing(library, server):
        reply = await handle_one(library, server, b"hello\n")

    assert words == ["extra"]
    assert reply == b"HELLO\n"


@both_libraries
async def test_a_handler_that_does_nothing_gives_an_empty_reply(
    library: Library,
) -> None:
    calls: list[Either] = []
    server = make_server(library)
    server.RequestHandlerClass = lambda *arguments: calls.append(arguments)

    async with closing(library, server):
        reply = await handle_one(library, server)

    ((_, address, given_server),) = calls
    assert reply == b""
    assert address[0] == "127.0.0.1"
    assert given_server is server


@both_libraries
async def test_the_handler_can_be_exchanged_between_requests(library: Library) -> None:
    server = make_server(library)

    async with closing(library, server):
        first = await handle_one(library, server, b"hello\n")
        server.RequestHandlerClass = greeting(library)
        second = await handle_one(library, server)

    assert first == b"HELLO\n"
    assert second == b"Hi 127.0.0.1"
