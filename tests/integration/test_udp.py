"""Datagrams: received, handled, answered."""

from __future__ import annotations

from kit.datagrams import UpperDatagramHandler, ask, open_client
from kit.serving import LOOPBACK, serving
from trioserver import UDPServer


async def test_answers_a_datagram() -> None:
    async with serving(UDPServer(LOOPBACK, UpperDatagramHandler)) as server:
        with open_client(server) as client:
            reply = await ask(client, b"hello")

    assert reply == b"HELLO"
