"""A socket that is readable for ever, with nothing to receive, is looked at in peace.

What it costs without that is seen in the number of calls.
"""

from __future__ import annotations

import logging
import socket
import socketserver
import sys
from pathlib import Path
from typing import ClassVar

import pytest
import trio

from kit.counting import CALLS, CountedSocket
from kit.datagrams import UpperDatagramHandler, ask, open_client
from kit.driving import driving
from kit.serving import LOOPBACK, STUCK, eventually, serving
from kit.threads import UpperThreadDatagramHandler
from trioserver import (
    DatagramRequestHandler,
    ListenerBrokenError,
    UDPServer,
    UnixDatagramServer,
    serve_socketserver,
)
from trioserver._bridge.loop_hooks import LoopHooks
from trioserver._bridge.sources import DatagramSource, source_of
from trioserver._datagrams.paced_wait import MAX_VAIN_WAKE_UPS

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="as Linux says it of these sockets"
)

# More calls than can be made before it is noticed, whatever else is received.
TOO_MANY = 10 * MAX_VAIN_WAKE_UPS

# Python has no name for it before 3.14.
IP_RECVERR = 11


@pytest.fixture(autouse=True)
def _count_anew() -> None:
    CALLS.clear()


async def wait_for_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """Wait for a line that tells of it, or until there were too many calls."""
    await eventually(lambda: lines(caplog) or CALLS["recvfrom"] > TOO_MANY)


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, bool]]:
    return [
        (record.levelname, "readable all the time, with nothing to receive" in message)
        for record in caplog.records
        # Below that is what the kernel says of one datagram, once.
        if record.levelno > logging.DEBUG and (message := record.getMessage())
    ]


class ShuttingHandler(DatagramRequestHandler):
    """Shuts the socket down, as one for connections might."""

    async def handle(self) -> None:
        with pytest.raises(OSError, match="not connected"):
            self.socket.socket.shutdown(socket.SHUT_RD)
        self.wfile.write(self.packet.upper())


async def test_a_handler_may_shut_the_socket_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = UDPServer(LOOPBACK, ShuttingHandler)
    server.socket.__class__ = CountedSocket
    async with serving(server):
        with open_client(server) as client:
            first = await client.send(b"hello")
            await wait_for_a_line(caplog)
            replies = [await client.recv(10), await ask(client, b"again")]

    assert (first, replies) == (5, [b"HELLO", b"AGAIN"])
    assert set(lines(caplog)) == {("WARNING", True)}


class TellingServer(UDPServer):
    """Wants to be told of errors, and does not ask for them."""

    def server_bind(self) -> None:
        self.socket.__class__ = CountedSocket
        self.socket.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        super().server_bind()


async def test_nobody_need_read_the_queue_of_errors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(TellingServer(LOOPBACK, UpperDatagramHandler)) as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
            gone.bind(LOOPBACK)
            address = gone.getsockname()
        server.socket.sendto(b"to nobody", 0, address)
        await wait_for_a_line(caplog)
        with open_client(server) as client:
            reply = await ask(client, b"hello")

    assert reply == b"HELLO"
    assert set(lines(caplog)) == {("WARNING", True)}


async def test_each_episode_is_told_of_but_not_more_than_once_a_second(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with UDPServer(LOOPBACK, DatagramRequestHandler) as server:
        server._spinning.note()
        server._spinning.note()

    assert lines(caplog) == [("WARNING", True)]


async def test_a_unix_server_that_can_receive_no_more_ends(tmp_path: Path) -> None:
    server = UnixDatagramServer(str(tmp_path / "socket"), UpperDatagramHandler)
    server.socket.__class__ = BoundedSocket
    server.socket.shutdown(socket.SHUT_RD)

    with trio.fail_after(STUCK):
        with pytest.raises(ListenerBrokenError, match="was shut down"):
            await server.serve()


class BoundedSocket(CountedSocket):
    """Fails after too many calls, so that the test ends."""

    __slots__ = ()

    def recvfrom(self, size: int, flags: int = 0, /) -> tuple[bytes, object]:
        assert CALLS["recvfrom"] < TOO_MANY
        return super().recvfrom(size, flags)


class DrivenUnixServer(socketserver.UnixDatagramServer):
    """Can receive no more."""

    def server_activate(self) -> None:
        self.socket.shutdown(socket.SHUT_RD)


async def test_neither_does_a_driven_object_wait_in_vain(tmp_path: Path) -> None:
    server = DrivenUnixServer(str(tmp_path / "socket"), UpperThreadDatagramHandler)

    with trio.fail_after(STUCK):
        with pytest.raises(ListenerBrokenError, match="was shut down"):
            await serve_socketserver(server)


class BusyServer(socketserver.UDPServer):
    """Has no time to receive."""

    calls: ClassVar[list[None]] = []

    def get_request(self) -> tuple[tuple[bytes, socket.socket], object]:  # type: ignore[override]  # as typeshed's own
        self.calls.append(None)
        raise BlockingIOError


async def test_a_driven_object_may_say_that_there_is_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[None] = []
    monkeypatch.setattr(BusyServer, "calls", calls)
    async with driving(BusyServer(LOOPBACK, UpperThreadDatagramHandler)) as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"hello", server.server_address)
        await eventually(lambda: caplog.records or len(calls) > TOO_MANY)

    assert set(lines(caplog)) == {("WARNING", True)}
    assert len(calls) <= MAX_VAIN_WAKE_UPS


class ShutThread(UpperThreadDatagramHandler):
    """Shuts the socket down, in a thread."""

    def handle(self) -> None:
        with pytest.raises(OSError, match="not connected"):
            self.request[1].shutdown(socket.SHUT_RD)
        super().handle()


async def test_a_handler_of_a_driven_object_may_shut_the_socket_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with driving(socketserver.UDPServer(LOOPBACK, ShutThread)) as server:
        with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            await client.connect(server.server_address)
            first = await ask(client, b"hello")
            await eventually(lambda: caplog.records)
            second = await ask(client, b"again")

    assert [first, second] == [b"HELLO", b"AGAIN"]
    assert set(lines(caplog)) == {("WARNING", True)}


async def test_that_of_a_driven_object_is_told_of_once_a_second_likewise(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socketserver.UDPServer(LOOPBACK, UpperThreadDatagramHandler) as server:
        source = source_of(server, LoopHooks(1), lambda: "here")
        assert isinstance(source, DatagramSource)
        source._spinning.note()
        source._spinning.note()
        source.give_back(close=False)

    assert lines(caplog) == [("WARNING", True)]
