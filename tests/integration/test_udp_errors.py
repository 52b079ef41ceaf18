"""Errors of one datagram are about that datagram, and never end the server."""

from __future__ import annotations

import errno
import logging
import sys

import pytest
import trio
import trio.testing

from kit.datagrams import MAX_PAYLOAD, UpperDatagramHandler, ask, open_client
from kit.serving import LOOPBACK, STUCK, eventually, serving
from trioserver import (
    BaseRequestHandler,
    DatagramRequestHandler,
    ListenerBrokenError,
    UDPServer,
)
from trioserver._datagrams.datagram_socket import DatagramSocket
from trioserver._datagrams.receiver import Datagram
from trioserver._datagrams.replies import Replies
from unit.datagrams.scripted import (
    PEER,
    Outcome,
    ScriptedSocket,
    as_socket,
    datagram,
)

# All but those that mean "later", which Python makes a BlockingIOError of.
ERRNOS = sorted(
    number
    for number in errno.errorcode
    if not isinstance(OSError(number, "later"), BlockingIOError)
)


class ScriptIsOver(Exception):  # noqa: N818  # no error: it ends a script
    pass


async def play(*outcomes: Outcome) -> list[bytes]:
    """Serve on a scripted socket. Return what was handled before the script ended."""
    handled: list[bytes] = []

    class Handler(DatagramRequestHandler):
        async def handle(self) -> None:
            handled.append(self.packet)

    server = UDPServer(LOOPBACK, Handler)
    server.max_concurrent_requests = 1
    server.socket.close()
    server.socket = as_socket(ScriptedSocket([*outcomes, ScriptIsOver()]))
    with pytest.raises(ScriptIsOver):
        await server.serve()
    return handled


@pytest.mark.parametrize("number", ERRNOS, ids=errno.errorcode.get)
async def test_goes_on_after_any_error_of_receiving(
    number: int, autojump_clock: trio.testing.MockClock
) -> None:
    error = OSError(number, "about one datagram")

    handled = await play(datagram(b"1"), error, error, datagram(b"2"))

    assert handled == [b"1", b"2"]
    assert trio.current_time() < 1


async def test_a_socket_that_was_closed_behind_our_back_ends_the_server() -> None:
    class Closing(UDPServer):
        async def get_request(self) -> tuple[object, object]:
            self.socket.close()
            return await super().get_request()

    with trio.fail_after(STUCK):
        with pytest.raises(ListenerBrokenError, match="is broken"):
            await Closing(LOOPBACK, UpperDatagramHandler).serve()


async def test_an_unsendable_reply_is_reported_for_its_request_alone() -> None:
    errors: list[tuple[object, object]] = []

    class Noting(UDPServer):
        async def handle_error(self, _request: object, client_address: object) -> None:
            error = sys.exception()
            assert isinstance(error, OSError)
            errors.append((error.errno, client_address))

    class Verbose(DatagramRequestHandler):
        async def handle(self) -> None:
            too_long = self.packet == b"much"
            self.wfile.write(bytes(MAX_PAYLOAD + 1) if too_long else b"little")

    async with serving(Noting(LOOPBACK, Verbose)) as server:
        with open_client(server) as client:
            await client.send(b"much")
            reply = await ask(client, b"less")
            address = client.getsockname()

    assert reply == b"little"
    assert errors == [(errno.EMSGSIZE, address)]
    assert server.statistics().handled == 1


async def test_who_wants_no_reply_is_one_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Eager(BaseRequestHandler):
        async def handle(self) -> None:
            _, sock = self.request
            await sock.sendto(b"reply", (self.client_address[0], 0))

    with caplog.at_level(logging.INFO):
        async with serving(UDPServer(LOOPBACK, Eager)) as server:
            with open_client(server) as client:
                await client.send(b"hello")
                await eventually(lambda: caplog.records)

    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.INFO, None)
    assert "has no address, or port 0" in record.getMessage()


@pytest.mark.parametrize("address", [None, ("192.0.2.1", 0)])
async def test_a_written_reply_to_nobody_is_dropped_without_an_error(
    address: object, caplog: pytest.LogCaptureFixture
) -> None:
    came = Datagram(b"hello", address, [], is_truncated=False)
    scripted = ScriptedSocket()
    sock = DatagramSocket(came, Replies(as_socket(scripted)))

    with UDPServer(LOOPBACK, UpperDatagramHandler) as server:
        with caplog.at_level(logging.DEBUG):
            await UpperDatagramHandler((b"hello", sock), address, server)

    assert scripted.sent == []
    assert "A reply of 5 bytes was dropped" in caplog.text


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_written_reply_waits_for_room_even_if_it_is_cancelled(
    is_cancelled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait_writable(_sock: object) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(trio.lowlevel, "wait_writable", wait_writable)
    came = Datagram(b"hello", PEER, [], is_truncated=False)
    full = BlockingIOError(errno.EAGAIN, "full")
    # At once, under a shield if need be, and then for as long as it takes.
    scripted = ScriptedSocket([full, full, full, 5])
    sock = DatagramSocket(came, Replies(as_socket(scripted)))

    with UDPServer(LOOPBACK, UpperDatagramHandler) as server:
        with trio.CancelScope() as scope:
            if is_cancelled:
                scope.cancel()
            await UpperDatagramHandler((b"hello", sock), PEER, server)

    assert scripted.sent == [(b"HELLO", 0, PEER)]


async def test_a_reply_to_a_forged_address_is_no_more_than_a_note(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever forges addresses must not be able to fill the disk with tracebacks."""
    came = Datagram(b"hello", PEER, [], is_truncated=False)
    refusal = OSError(errno.ENETUNREACH, "no such network")
    sock = DatagramSocket(came, Replies(as_socket(ScriptedSocket([refusal]))))
    with UDPServer(LOOPBACK, UpperDatagramHandler) as server:
        with caplog.at_level(logging.DEBUG):
            try:
                await UpperDatagramHandler((b"hello", sock), PEER, server)
            except OSError:
                await server.handle_error((b"hello", sock), PEER)

    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.DEBUG, None)
