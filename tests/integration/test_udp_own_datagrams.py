"""Datagrams that seem to come from the server itself are not answered."""

from __future__ import annotations

import logging

import pytest

from kit.datagrams import ask, open_client
from kit.serving import eventually, serving
from trioserver import DatagramRequestHandler, UDPServer

# The replies to oneself after which a loop is one.
LOOPED = 50


class EchoHandler(DatagramRequestHandler):
    async def handle(self) -> None:
        self.wfile.write(self.packet)


def send_to_itself(server: UDPServer, host: str, data: bytes) -> None:
    """Do what somebody does who forges the address of *server*."""
    server.socket.sendto(data, (host, server.server_address[1]))


@pytest.mark.parametrize(
    ("bound_to", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("", "127.0.0.2"),
        ("::1", "::1"),
        ("::", "::1"),
    ],
)
async def test_a_forged_datagram_is_dropped_and_counted(
    bound_to: str, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = UDPServer((bound_to, 0), EchoHandler)
    async with serving(server):
        server._own_datagrams.note()  # the second within a second is not logged
        for _ in range(3):
            send_to_itself(server, host, b"forged")
        await eventually(lambda: server.statistics().from_itself == 3)
        server._own_datagrams.reset()
        send_to_itself(server, host, b"forged")
        await eventually(lambda: caplog.records)

    statistics = server.statistics()
    assert (statistics.received, statistics.handled) == (4, 0)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "says it comes from" in record.getMessage()
    assert "since the last line: 1)" in record.getMessage()


async def test_others_on_the_same_machine_are_answered() -> None:
    async with serving(UDPServer(("127.0.0.1", 0), EchoHandler)) as server:
        port = server.server_address[1]
        async with serving(UDPServer(("127.0.0.2", port), EchoHandler)) as other:
            # From the same port, but another address: that is somebody else.
            assert other.server_address == ("127.0.0.2", port)
            other.socket.sendto(b"ping", server.server_address)
            await eventually(lambda: server.statistics().handled)
            with open_client(server) as client:
                assert await ask(client, b"hello") == b"hello"


async def test_without_this_the_server_answers_itself() -> None:
    server = UDPServer(("127.0.0.1", 0), EchoHandler)
    server.accept_own_datagrams = True
    async with serving(server):
        send_to_itself(server, "127.0.0.1", b"forged")
        await eventually(lambda: server.statistics().handled >= LOOPED)

    assert server.statistics().from_itself == 0
