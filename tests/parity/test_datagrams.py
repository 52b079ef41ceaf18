"""What becomes of a datagram: which hooks are called, and what is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from kit.datagrams import MAX_PAYLOAD, receive_nowait
from kit.serving import LOOPBACK
from parity.datagrams import (
    open_client,
    play,
    play_serving,
    recording_server,
    upper_packet,
)
from parity.journal import Journal
from parity.libraries import Either, Library, both_libraries, differs
from parity.scenario import Outcome, Scenario, closing

PlayDatagram = Callable[[Library, Scenario], Awaitable[Outcome]]

both_ways = pytest.mark.parametrize(
    "play_scenario", [play, play_serving], ids=["handle_request", "serve_forever"]
)

CONSTRUCTED = ["server_bind()", "server_activate()"]
RECEIVED = ["get_request()", "verify_request(request, client)"]
PROCESSED = ["process_request(request, client)", "finish_request(request, client)"]
MADE = ["handler.__init__(request, client, server)"]
HANDLED = ["handler.setup()", "handler.handle()", "handler.finish()"]
SHUT_DOWN = ["shutdown_request(request)", "close_request(request)"]

BEFORE = CONSTRUCTED + RECEIVED + PROCESSED + MADE
AFTER = [*SHUT_DOWN, "server_close()"]


def error_of(hook: str, error: str = "ValueError") -> str:
    return f"handle_error(request, client) with {error}('{hook}')"


@both_libraries
@both_ways
async def test_processes_a_datagram_then_shuts_it_down(
    library: Library, play_scenario: PlayDatagram
) -> None:
    outcome = await play_scenario(library, Scenario())

    assert outcome.entries == BEFORE + HANDLED + AFTER
    assert outcome.reply == b"HELLO\n"
    assert outcome.error == ""


@both_libraries
@both_ways
async def test_only_shuts_down_a_datagram_that_is_not_verified(
    library: Library, play_scenario: PlayDatagram
) -> None:
    outcome = await play_scenario(library, Scenario(returns={"verify_request": False}))

    assert outcome.entries == CONSTRUCTED + RECEIVED + AFTER
    assert outcome.reply == b"none"


@both_libraries
@both_ways
@pytest.mark.parametrize(
    ("hook", "hooks"),
    [
        ("handler.setup", ["handler.setup()"]),
        ("handler.finish", HANDLED),
        ("finish_request", HANDLED),
    ],
)
async def test_reports_an_error_and_shuts_the_datagram_down(
    library: Library, play_scenario: PlayDatagram, hook: str, hooks: list[str]
) -> None:
    outcome = await play_scenario(library, Scenario(raises={hook: ValueError}))

    assert outcome.entries == [*BEFORE, *hooks, error_of(hook), *AFTER]
    assert outcome.error == ""


@both_libraries
@both_ways
@pytest.mark.parametrize("exit_", [SystemExit, KeyboardInterrupt])
async def test_an_exit_leaves_the_server(
    library: Library, play_scenario: PlayDatagram, exit_: type[BaseException]
) -> None:
    outcome = await play_scenario(library, Scenario(raises={"handler.handle": exit_}))

    assert outcome.entries == BEFORE + HANDLED + AFTER
    assert outcome.error == f"{exit_.__name__}('handler.handle')"


@both_libraries
async def test_an_oserror_in_get_request_is_one_datagrams(library: Library) -> None:
    outcome = await play(
        library, Scenario(raises={"get_request": ConnectionRefusedError})
    )

    assert outcome.entries == [*CONSTRUCTED, "get_request()", "server_close()"]
    assert outcome.error == ""


@both_libraries
async def test_an_empty_datagram_is_one(library: Library) -> None:
    def count(handler: Either) -> Either:
        yield handler.wfile.write(b"%d" % len(handler.packet))

    outcome = await play(library, Scenario(sends=b""), count)

    assert outcome.entries == BEFORE + HANDLED + AFTER
    assert outcome.reply == b"0"


@both_libraries
async def test_the_request_is_the_data_and_a_socket(library: Library) -> None:
    def answer(handler: Either) -> Either:
        data, sock = handler.request
        assert (data, sock) == (handler.packet, handler.socket)
        assert sock.getsockname() == handler.server.server_address
        sent = yield sock.sendto(b"by hand: " + data, handler.client_address)
        yield handler.wfile.write(b"%d" % sent)

    journal = Journal()
    server = recording_server(library, journal, answer)
    async with closing(library, server):
        with open_client(server) as client:
            await client.send(b"hello")
            await library.call(server.handle_request)
            replies = [receive_nowait(client), receive_nowait(client)]

    assert replies == [b"by hand: hello", b"14"]


@both_libraries
async def test_a_reply_that_is_too_long_is_reported(library: Library) -> None:
    def too_much(handler: Either) -> Either:
        yield handler.wfile.write(bytes(MAX_PAYLOAD + 1))

    outcome = await play(library, Scenario(), too_much)

    (report,) = [entry for entry in outcome.entries if "handle_error" in entry]
    assert "Message too long" in report
    assert outcome.entries[-3:] == AFTER
    assert outcome.reply == b"none"


# Where the libraries differ


@differs(socketserver=b"", trioserver=b"none")
async def test_nothing_written(library: Library, expected: bytes) -> None:
    def say_nothing(handler: Either) -> Either:
        yield

    outcome = await play(library, Scenario(), say_nothing)

    assert outcome.reply == expected


@differs(socketserver=b"PART", trioserver=b"none")
async def test_written_before_an_error(library: Library, expected: bytes) -> None:
    def fail(handler: Either) -> Either:
        yield handler.wfile.write(b"PART")
        raise ValueError

    outcome = await play(library, Scenario(), fail)

    assert outcome.reply == expected


@differs(
    socketserver=[*BEFORE, *HANDLED, *AFTER],
    trioserver=[*BEFORE[:-1], *AFTER],
)
async def test_a_datagram_that_is_too_long(
    library: Library, expected: list[str]
) -> None:
    journal = Journal()
    server = recording_server(library, journal)
    server.max_packet_size = 4
    async with closing(library, server):
        with open_client(server) as client:
            await client.send(b"hello")
            await library.call(server.handle_request)

    assert journal.entries == expected


@differs(socketserver=b"HELLO", trioserver=None)
async def test_a_datagram_that_says_it_comes_from_the_server(
    library: Library, expected: bytes | None
) -> None:
    server = recording_server(library, Journal())
    server.timeout = 0
    async with closing(library, server):
        server.socket.sendto(b"hello", server.server_address)
        await library.call(server.handle_request)
        server.socket.setblocking(False)
        try:
            looped = server.socket.recv(100)
        except BlockingIOError:
            looped = None

    assert looped == expected


@differs(socketserver=None, trioserver=TypeError)
def test_a_handler_for_connections(
    library: Library, expected: type[Exception] | None
) -> None:
    raised = None

    try:
        library.class_("UDPServer")(
            LOOPBACK, library.handler(upper_packet)
        ).socket.close()
    except TypeError as error:
        raised = type(error)

    assert raised is expected


@differs(socketserver="blocking", trioserver="non-blocking")
def test_the_socket(library: Library, expected: str) -> None:
    handler = library.handler(upper_packet, "DatagramRequestHandler")
    with library.class_("UDPServer")(LOOPBACK, handler) as server:
        timeout = server.socket.gettimeout()

    assert {None: "blocking", 0.0: "non-blocking"}[timeout] == expected
