"""Clients as they are: patient, rude, slow, half-closed, a thousand at once."""

from __future__ import annotations

import contextlib
import logging
import shutil
import socket
from functools import partial

import pytest
import trio
import trio.testing

from kit.serving import (
    LOOPBACK,
    STUCK,
    UpperHandler,
    ask,
    connect,
    eventually,
    receive_all,
    reset_on_close,
    serving,
)
from trioserver import BaseServer, StreamRequestHandler, TCPServer

MANY = 1000
REPLY = b"x" * 200_000


class GreetingHandler(StreamRequestHandler):
    """A dialogue, as of a mail or a telnet server."""

    async def handle(self) -> None:
        await self.wfile.write(b"220 hello, who are you?\r\n")
        name = (await self.rfile.readline()).strip()
        await self.wfile.write(b"250 pleased to meet you, %s\r\n" % name)
        while (await self.rfile.readline()).strip() != b"QUIT":
            await self.wfile.write(b"250 go on\r\n")
        await self.wfile.write(b"221 bye\r\n")


def talk(address: tuple[str, int]) -> list[bytes]:
    """Hold a dialogue with the standard library's blocking socket."""
    with socket.create_connection(address, STUCK) as sock, sock.makefile("rwb") as file:
        replies = [file.readline()]
        for line in (b"Ada\r\n", b"more\r\n", b"QUIT\r\n"):
            file.write(line)
            file.flush()
            replies.append(file.readline())
        replies.append(file.readline())
        return replies


async def test_a_dialogue_with_a_blocking_socket() -> None:
    async with serving(TCPServer(LOOPBACK, GreetingHandler)) as server:
        replies = await trio.to_thread.run_sync(talk, server.server_address)

    assert replies == [
        b"220 hello, who are you?\r\n",
        b"250 pleased to meet you, Ada\r\n",
        b"250 go on\r\n",
        b"221 bye\r\n",
        b"",
    ]


# What people try a server with. Those that this machine has are used; CI installs
# them all.
PROGRAMS = {
    "nc": ["nc", "-N", "127.0.0.1", "{}"],
    "socat": ["socat", "-", "TCP:127.0.0.1:{}"],
    "bash": ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/{}; cat >&3; head -n 1 <&3"],
}


@pytest.mark.parametrize("name", [name for name in PROGRAMS if shutil.which(name)])
async def test_programs_that_people_try_a_server_with(name: str) -> None:
    async with serving(TCPServer(LOOPBACK, UpperHandler)) as server:
        port = str(server.server_address[1])
        program = [argument.format(port) for argument in PROGRAMS[name]]
        done = await trio.run_process(program, stdin=b"hello\n", capture_stdout=True)

    assert done.stdout == b"HELLO\n"


async def test_a_thousand_clients_at_once() -> None:
    async def visit(server: TCPServer, number: int) -> None:
        async with await connect(server) as client:
            replies[number] = await ask(client, b"number %d\n" % number)
            arrived.add(number)
            if len(arrived) == MANY:
                all_here.set()
            await all_here.wait()

    replies: dict[int, bytes] = {}
    arrived: set[int] = set()
    all_here = trio.Event()
    async with serving(TCPServer(LOOPBACK, UpperHandler)) as server:
        async with trio.open_nursery() as nursery:
            for number in range(MANY):
                nursery.start_soon(visit, server, number)

    assert replies == {number: b"NUMBER %d\n" % number for number in range(MANY)}


async def test_a_client_that_resets_is_no_error_with_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "trioserver")
    async with serving(TCPServer(LOOPBACK, UpperHandler)) as server:
        client = await connect(server)
        await ask(client, b"hello\n")
        reset_on_close(client)
        await client.aclose()
        async with await connect(server) as witness:
            assert await ask(witness, b"still here\n") == b"STILL HERE\n"

    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert "ended early: " in record.getMessage()
    assert record.exc_info is None


async def test_a_client_that_half_closes_gets_its_reply() -> None:
    class CountHandler(StreamRequestHandler):
        async def handle(self) -> None:
            everything = await self.rfile.read()
            await self.wfile.write(b"%d bytes\n" % len(everything))

    async with serving(TCPServer(LOOPBACK, CountHandler)) as server:
        async with await connect(server) as client:
            await client.send_all(b"x" * 12345)
            await client.send_eof()
            reply = await receive_all(client)

    assert reply == b"12345 bytes\n"


async def test_a_client_that_sends_more_than_is_read_gets_the_whole_reply() -> None:
    class DeafHandler(StreamRequestHandler):
        async def handle(self) -> None:
            await self.rfile.readline()
            await self.wfile.write(REPLY)

    async with serving(TCPServer(LOOPBACK, DeafHandler)) as server:
        async with await connect(server) as client:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.send_all, b"line\n" + b"y" * 1_000_000)
                reply = await receive_all(client)

    assert len(reply) == len(REPLY)


async def test_a_client_that_leaves_before_the_reply_harms_nobody() -> None:
    class LateHandler(StreamRequestHandler):
        wbufsize = -1

        async def handle(self) -> None:
            await self.rfile.read()
            await self.wfile.write(REPLY)

    async with serving(TCPServer(LOOPBACK, LateHandler)) as server:
        client = await connect(server)
        await client.send_all(b"bye\n")
        await client.aclose()
        async with await connect(server) as witness:
            await witness.send_eof()
            assert len(await receive_all(witness)) == len(REPLY)


class MemoryServer(BaseServer):
    """Serves streams in memory, so that time may be virtual."""

    def __init__(self, handler: type[StreamRequestHandler]) -> None:
        super().__init__("memory", handler)
        self._sender, self._arrivals = trio.open_memory_channel[trio.abc.Stream](10)

    async def get_request(self) -> tuple[trio.abc.Stream, str]:
        return await self._arrivals.receive(), "a client in memory"

    async def close_request(self, request: trio.abc.Stream) -> None:
        await request.aclose()

    async def connect(self) -> trio.abc.HalfCloseableStream:
        ours, theirs = trio.testing.memory_stream_pair()
        await self._sender.send(ours)
        return theirs


async def test_a_client_that_sends_a_byte_a_second(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = MemoryServer(UpperHandler)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve)
        client = await server.connect()
        for byte in b"slow but sure\n":
            await trio.sleep(1)
            await client.send_all(bytes([byte]))
        reply = await client.receive_some()
        await client.aclose()
        await server.shutdown()

    assert reply == b"SLOW BUT SURE\n"


async def test_another_stream_that_breaks_is_a_client_that_has_vanished(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "trioserver")
    server = MemoryServer(GreetingHandler)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve)
        client = await server.connect()
        await client.aclose()
        await eventually(lambda: caplog.records)
        await server.shutdown()

    assert [record.levelno for record in caplog.records] == [logging.DEBUG]


@pytest.mark.parametrize("seconds_between_bytes", [2, 4])
async def test_a_timeout_bounds_each_wait_and_not_the_request(
    seconds_between_bytes: float,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Impatient(UpperHandler):
        timeout = 3

    caplog.set_level(logging.INFO, "trioserver")
    server = MemoryServer(Impatient)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve)
        client = await server.connect()
        for byte in b"slow\n":
            await trio.sleep(seconds_between_bytes)
            with contextlib.suppress(trio.BrokenResourceError):
                await client.send_all(bytes([byte]))
        reply = await client.receive_some()
        await client.aclose()
        await server.shutdown()

    in_time = seconds_between_bytes < Impatient.timeout
    assert reply == (b"SLOW\n" if in_time else b"")
    assert [record.levelno for record in caplog.records] == [logging.INFO] * (
        not in_time
    )


async def test_ipv6_is_inferred_from_a_literal() -> None:
    seen: list[tuple[object, ...]] = []

    class Noting(UpperHandler):
        async def setup(self) -> None:
            await super().setup()
            seen.append(self.client_address)

    async with serving(TCPServer(("::1", 0), Noting)) as server:
        async with await connect(server) as client:
            assert await ask(client, b"six\n") == b"SIX\n"
            address = client.socket.getsockname()

    assert server.address_family == socket.AF_INET6
    assert seen == [address]


async def test_ipv6_by_address_family_as_in_socketserver() -> None:
    class Six(TCPServer):
        address_family = socket.AF_INET6

    async with serving(Six(("::1", 0, 0, 0), UpperHandler)) as server:
        async with await connect(server) as client:
            assert await ask(client, b"six\n") == b"SIX\n"


async def test_nagles_algorithm_can_be_switched_off() -> None:
    options: list[int] = []

    class Eager(UpperHandler):
        disable_nagle_algorithm = True

        async def handle(self) -> None:
            get = partial(self.request.socket.getsockopt, socket.IPPROTO_TCP)
            options.append(get(socket.TCP_NODELAY))

    async with serving(TCPServer(LOOPBACK, Eager)) as server:
        async with await connect(server) as client:
            await receive_all(client)

    assert options == [1]
