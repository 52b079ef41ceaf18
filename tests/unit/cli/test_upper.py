"""What is served when no handler is named."""

from __future__ import annotations

from kit.datagrams import ask as ask_by_datagram
from kit.datagrams import open_client
from kit.serving import LOOPBACK, ask, connect, serving
from trioserver import TCPServer, UDPServer
from trioserver._cli.upper import UpperDatagramHandler, UpperHandler


async def test_answers_each_line_in_upper_case() -> None:
    async with (
        serving(TCPServer(LOOPBACK, UpperHandler)) as server,
        await connect(server) as client,
    ):
        assert await ask(client, b"hello\n") == b"HELLO\n"
        assert await ask(client, b"and again\n") == b"AND AGAIN\n"


async def test_answers_each_datagram_in_upper_case() -> None:
    async with serving(UDPServer(LOOPBACK, UpperDatagramHandler)) as server:
        with open_client(server) as client:
            assert await ask_by_datagram(client, b"hello") == b"HELLO"
