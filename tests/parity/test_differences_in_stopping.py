"""Where the libraries differ on purpose in how a server stops, side by side."""

from __future__ import annotations

import sys
import threading

import pytest
import trio

from kit.serving import LOOPBACK, STUCK, ask
from parity.journal import Journal
from parity.libraries import SOCKETSERVER, TRIOSERVER, Either, Library, differs
from parity.scenario import (
    POLL_INTERVAL,
    closing,
    handle_one,
    make_server,
    open_client,
    recording_server,
    upper_line,
)
from trioserver import ServerClosedError


class WaitsForEverError(Exception):
    """Somebody has begun to wait for what cannot happen."""


class EndOfTheLoop(threading.Event):
    """What socketserver's ``shutdown()`` waits for."""

    def wait(self, *_: object) -> bool:
        raise WaitsForEverError


def refuse_to_wait(server: Either) -> None:
    """Let socketserver's ``shutdown()`` raise where it would wait for ever."""
    server._BaseServer__is_shut_down = EndOfTheLoop()


async def test_shutdown_before_serving_waits_or_is_remembered() -> None:
    theirs, ours = make_server(SOCKETSERVER), make_server(TRIOSERVER)
    async with closing(SOCKETSERVER, theirs), closing(TRIOSERVER, ours):
        refuse_to_wait(theirs)

        with pytest.raises(WaitsForEverError):
            theirs.shutdown()
        await ours.shutdown()

        # With both, the next loop then ends at once.
        await SOCKETSERVER.call(theirs.serve_forever, POLL_INTERVAL)
        await ours.serve_forever()


async def test_shutdown_from_a_handler_waits_for_ever_or_ends_the_loop() -> None:
    def shut_down(handler: Either) -> Either:
        yield handler.server.shutdown()

    theirs, ours = (
        make_server(SOCKETSERVER, shut_down),
        make_server(TRIOSERVER, shut_down),
    )
    errors: list[BaseException | None] = []
    theirs.handle_error = lambda *_: errors.append(sys.exception())
    async with closing(SOCKETSERVER, theirs), closing(TRIOSERVER, ours):
        refuse_to_wait(theirs)

        await handle_one(SOCKETSERVER, theirs)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.serve_forever)
            async with await open_client(ours) as client:
                await client.send_eof()

    assert [type(error) for error in errors] == [WaitsForEverError]


async def test_shutdown_after_the_loop_ends_the_next_one_or_does_nothing() -> None:
    theirs, ours = make_server(SOCKETSERVER), make_server(TRIOSERVER)
    async with closing(SOCKETSERVER, theirs), closing(TRIOSERVER, ours):
        for library, server in ((SOCKETSERVER, theirs), (TRIOSERVER, ours)):
            await serve_one_client(library, server)
            await library.call(server.shutdown)

        await SOCKETSERVER.call(theirs.serve_forever, POLL_INTERVAL)
        reply = await serve_one_client(TRIOSERVER, ours)

    assert reply == b"HELLO\n"


async def serve_one_client(library: Library, server: Either) -> bytes:
    """Serve until one client has its reply."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(library.call, server.serve_forever, POLL_INTERVAL)
        async with await open_client(server) as client:
            reply = await ask(client, b"hello\n")
        await library.call(server.shutdown)
    return reply


async def test_server_close_while_serving_leaves_the_loop_spinning_or_ends_it() -> None:
    failed = trio.Event()

    class Spinning(SOCKETSERVER.class_("TCPServer")):  # type: ignore[misc]  # by name
        failures = 0

        def get_request(self) -> Either:
            try:
                return super().get_request()
            except OSError:
                self.failures += 1
                if self.failures == 3:
                    trio.from_thread.run_sync(failed.set)
                raise

    theirs = Spinning(LOOPBACK, SOCKETSERVER.handler(upper_line))
    ours = make_server(TRIOSERVER)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(SOCKETSERVER.call, theirs.serve_forever, POLL_INTERVAL)
            async with await open_client(theirs) as client:
                await ask(client, b"hello\n")
            theirs.server_close()
            await failed.wait()
            theirs.shutdown()
        async with trio.open_nursery() as nursery:
            await nursery.start(ours.serve_forever)
            await ours.server_close()

    assert theirs.failures >= 3
    assert ours.fileno() == -1


@differs(socketserver=ValueError, trioserver=ServerClosedError)
@pytest.mark.parametrize("method", ["serve_forever", "handle_request"])
async def test_serving_after_server_close(
    library: Library, expected: type[Exception], method: str
) -> None:
    server = make_server(library)
    await library.call(server.server_close)

    with trio.fail_after(STUCK), pytest.raises(expected):
        await library.call(getattr(server, method))


@differs(socketserver=["server_close()"], trioserver=[])
def test_what_a_plain_with_calls(library: Library, expected: list[str]) -> None:
    journal = Journal()

    with recording_server(library, journal) as server:
        before = len(journal.entries)

    assert journal.entries[before:] == expected
    assert server.fileno() == -1
