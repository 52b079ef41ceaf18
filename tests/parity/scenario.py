"""Play one request on a recording server of either library."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeAlias

import attrs
import trio

from kit.serving import LOOPBACK, STUCK, receive_all
from parity.journal import Journal
from parity.libraries import Either, Library, Script, Server

# Seconds between two looks of socketserver at whether it shall stop. It decides how
# fast these tests are, and nothing else.
POLL_INTERVAL = 0.01

# What may escape from a server. Trio's Cancelled is none of them.
ESCAPING = (Exception, SystemExit, KeyboardInterrupt)


@attrs.frozen
class Scenario:
    """What the client says, and what the hooks do that is out of the ordinary."""

    sends: bytes = b"hello\n"
    raises: Mapping[str, type[BaseException]] = attrs.field(factory=dict)
    returns: Mapping[str, object] = attrs.field(factory=dict)


@attrs.frozen
class Outcome:
    """What came of it."""

    entries: list[str]
    reply: bytes
    error: str
    """What left the server, as `repr` has it; empty if nothing did."""


Play: TypeAlias = Callable[[Library, Scenario], Awaitable[Outcome]]


def upper_line(handler: Either) -> Either:
    """Answer one line in upper case."""
    line = yield handler.rfile.readline()
    yield handler.wfile.write(line.upper())


def make_server(
    library: Library,
    script: Script = upper_line,
    /,
    *,
    address: object = LOOPBACK,
    **settings: object,
) -> Either:
    """Return a bound server; the *settings* are attributes of its class."""
    server = type("Server", (library.class_("TCPServer"),), settings)
    return server(address, library.handler(script))


def recording_server(
    library: Library, journal: Journal, script: Script = upper_line
) -> Either:
    """Return a bound server of *library* that notes everything in *journal*."""
    server = journal.recording_server(library.class_("TCPServer"))
    return server(LOOPBACK, journal.recording_handler(library.handler(script)))


async def open_client(server: Server) -> trio.SocketStream:
    """Return a new connection to *server*."""
    host, port = server.server_address
    return await trio.open_tcp_stream(host, port)


@asynccontextmanager
async def closing(library: Library, server: Server) -> AsyncIterator[None]:
    """Close *server* in the end, and fail whatever gets stuck before."""
    with trio.fail_after(STUCK):
        try:
            yield
        finally:
            await library.call(server.server_close)


async def handle_one(library: Library, server: Server, sends: bytes = b"") -> bytes:
    """Let *server* handle one request that sends *sends*; return the reply."""
    async with await open_client(server) as client:
        await client.send_all(sends)
        await client.send_eof()
        await library.call(server.handle_request)
        return await receive_all(client)


async def play(library: Library, scenario: Scenario) -> Outcome:
    """Play *scenario* with ``handle_request()``."""
    journal = Journal(scenario.raises, scenario.returns)
    server = recording_server(library, journal)
    error: BaseException | None = None
    async with closing(library, server), await open_client(server) as client:
        await client.send_all(scenario.sends)
        await client.send_eof()
        try:
            await library.call(server.handle_request)
        except ESCAPING as escaped:
            error = escaped
        reply = await receive_all(client)
    return Outcome(journal.entries, reply, repr(error) if error else "")


async def play_serving(library: Library, scenario: Scenario) -> Outcome:
    """Play *scenario* with ``serve_forever()`` and ``shutdown()``."""
    journal = Journal(scenario.raises, scenario.returns)
    server = recording_server(library, journal)
    errors: list[BaseException] = []

    async def serve() -> None:
        try:
            await library.call(server.serve_forever, POLL_INTERVAL)
        except ESCAPING as escaped:
            errors.append(escaped)

    async with closing(library, server), trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with await open_client(server) as client:
            await client.send_all(scenario.sends)
            await client.send_eof()
            reply = await receive_all(client)
        await library.call(server.shutdown)
    return Outcome(journal.entries, reply, "".join(map(repr, errors)))
