"""Datagrams to a host that is given by its name."""

from __future__ import annotations

import pytest
import trio

from kit.datagrams import UpperDatagramHandler, ask, open_client, open_unconnected
from kit.name_server import NameServer, ask_ours
from kit.serving import LOOPBACK, STUCK, eventually, serving
from trioserver import BaseRequestHandler, UDPServer
from trioserver._datagrams import datagram_socket


@pytest.fixture
async def name_server() -> NameServer:
    return ask_ours()


class ForwardingHandler(BaseRequestHandler):
    """Sends on what it is asked to, to the client's port at a host with a name."""

    async def handle(self) -> None:
        data, sock = self.request
        if data != b"forward":
            await sock.sendto(data.upper(), self.client_address)
            return
        await sock.sendto(data, ("collector.example", self.client_address[1]))


async def test_others_are_served_while_a_name_is_looked_up(
    name_server: NameServer,
) -> None:
    async with serving(UDPServer(LOOPBACK, ForwardingHandler)) as server:
        with open_client(server) as client, open_client(server) as other:
            await client.send(b"forward")
            await eventually(lambda: name_server.asked)
            meanwhile = await ask(other, b"hello")
            name_server.gate.set()
            forwarded = await client.recv(10)

    assert meanwhile == b"HELLO"
    assert forwarded == b"forward"
    assert [question[0] for question in name_server.asked] == [b"collector.example"]


async def test_the_wait_for_an_answer_can_be_cancelled(
    name_server: NameServer,
) -> None:
    with trio.fail_after(STUCK), open_unconnected() as client:
        async with trio.open_nursery() as nursery:
            server = UDPServer(LOOPBACK, ForwardingHandler)
            await nursery.start(server.serve)
            await client.sendto(b"forward", server.server_address)
            await eventually(lambda: name_server.asked)
            nursery.cancel_scope.cancel()

    assert name_server.cancelled == 1


async def test_who_has_asked_is_answered_without_a_look_at_the_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at: list[object] = []

    monkeypatch.setattr(datagram_socket, "looked_up", lambda *a: looked_at.append(a))
    async with serving(UDPServer(LOOPBACK, ForwardingHandler)) as server:
        with open_client(server) as client:
            assert await ask(client, b"hello") == b"HELLO"
    async with serving(UDPServer(LOOPBACK, UpperDatagramHandler)) as server:
        with open_client(server) as client:
            assert await ask(client, b"hello") == b"HELLO"

    assert looked_at == []
