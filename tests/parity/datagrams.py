"""Play datagrams on a recording server of either library."""

from __future__ import annotations

import socket

import trio

from kit.datagrams import receive_nowait
from kit.serving import LOOPBACK, eventually
from parity.journal import Journal
from parity.libraries import Either, Library, Script
from parity.scenario import ESCAPING, POLL_INTERVAL, Outcome, Scenario, closing


def upper_packet(handler: Either) -> Either:
    """Answer a datagram in upper case."""
    data = yield handler.rfile.read()
    yield handler.wfile.write(data.upper())


def recording_server(
    library: Library, journal: Journal, script: Script = upper_packet
) -> Either:
    """Return a bound server for UDP that notes everything in *journal*."""
    server = journal.recording_server(library.class_("UDPServer"))
    handler = library.handler(script, "DatagramRequestHandler")
    return server(LOOPBACK, journal.recording_handler(handler))


def open_client(server: Either) -> trio.socket.SocketType:
    """Return a socket that is connected to *server*."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(server.server_address)
    return trio.socket.from_stdlib_socket(sock)


async def play(
    library: Library, scenario: Scenario, script: Script = upper_packet
) -> Outcome:
    """Play *scenario* with ``handle_request()``. The reply is "none" if none came."""
    journal = Journal(scenario.raises, scenario.returns)
    server = recording_server(library, journal, script)
    error: BaseException | None = None
    async with closing(library, server):
        with open_client(server) as client:
            await client.send(scenario.sends)
            try:
                await library.call(server.handle_request)
            except ESCAPING as escaped:
                error = escaped
            # On loopback, what was sent is there.
            reply = receive_nowait(client)
    text = b"none" if reply is None else reply
    return Outcome(journal.entries, text, repr(error) if error else "")


async def play_serving(
    library: Library, scenario: Scenario, script: Script = upper_packet
) -> Outcome:
    """Play *scenario* with ``serve_forever()`` and ``shutdown()``."""
    journal = Journal(scenario.raises, scenario.returns)
    server = recording_server(library, journal, script)
    errors: list[BaseException] = []

    async def serve() -> None:
        try:
            await library.call(server.serve_forever, POLL_INTERVAL)
        except ESCAPING as escaped:
            errors.append(escaped)

    async with closing(library, server):
        with open_client(server) as client:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve)
                await client.send(scenario.sends)
                await eventually(lambda: errors or _has_ended(journal))
                await library.call(server.shutdown)
            reply = receive_nowait(client)
    text = b"none" if reply is None else reply
    return Outcome(journal.entries, text, "".join(map(repr, errors)))


def _has_ended(journal: Journal) -> bool:
    """Whether the last hook of a request was called."""
    return bool(journal.entries) and journal.entries[-1] == "close_request(request)"
