"""Replies leave from the address that was written to, also on a wildcard."""

from __future__ import annotations

import socket

import pytest

from kit.datagrams import open_unconnected
from kit.namespaces import output_in_namespace
from kit.serving import serving
from trioserver import (
    DatagramRequestHandler,
    DatagramSessionHandler,
    UDPServer,
    UDPSessionServer,
)


class WhereHandler(DatagramRequestHandler):
    """Answers with the address that was written to."""

    async def handle(self) -> None:
        self.wfile.write(str(self.socket.local_host).encode())


class DualStackServer(UDPServer):
    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


async def ask_at(server: UDPServer, host: str) -> tuple[str, str]:
    """Write to *host*. Return what is answered, and from where."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with open_unconnected(family) as client:
        await client.sendto(b"where?", (host, server.server_address[1]))
        reply, address = await client.recvfrom(100)
    return reply.decode(), address[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
async def test_over_ipv4(host: str) -> None:
    async with serving(UDPServer(("", 0), WhereHandler)) as server:
        assert await ask_at(server, host) == (host, host)


async def test_over_ipv6() -> None:
    async with serving(UDPServer(("::", 0), WhereHandler)) as server:
        assert await ask_at(server, "::1") == ("::1", "::1")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1"])
async def test_over_both_with_one_socket(host: str) -> None:
    async with serving(DualStackServer(("::", 0), WhereHandler)) as server:
        assert await ask_at(server, host) == (host, host)


async def test_a_server_with_one_address_need_not_be_told() -> None:
    async with serving(UDPServer(("127.0.0.1", 0), WhereHandler)) as server:
        assert await ask_at(server, "127.0.0.1") == ("None", "127.0.0.1")


async def test_a_session_is_with_one_address_of_ours() -> None:
    class Handler(DatagramSessionHandler):
        async def handle(self) -> None:
            async for _ in self.session:
                await self.session.send(str(self.session.socket.local_host).encode())

    async with serving(UDPSessionServer(("", 0), Handler)) as server:
        port = server.server_address[1]
        with open_unconnected() as client:
            answers = []
            for host in ("127.0.0.1", "127.0.0.2", "127.0.0.1"):
                await client.sendto(b"where?", (host, port))
                reply, address = await client.recvfrom(100)
                answers.append((reply.decode(), address[0], address[0] == host))
        sessions = server.statistics().started

    assert answers == [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.2", "127.0.0.2", True),
        ("127.0.0.1", "127.0.0.1", True),
    ]
    assert sessions == 2


# In a namespace with two more addresses of each family. The client binds the first one,
# so that the kernel, left alone, would answer it from there.
PROGRAM = """
import socket, sys, trio
from kit.serving import serving
from integration.test_udp_wildcard import DualStackServer, WhereHandler
from trioserver import UDPServer

async def ask(kind, bind, own, host):
    async with serving(kind((bind, 0), WhereHandler)) as server:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with trio.socket.socket(family, socket.SOCK_DGRAM) as client:
            await client.bind((own, 0))
            await client.sendto(b"where?", (host, server.server_address[1]))
            reply, address = await client.recvfrom(100)
            print(kind.__name__, reply.decode(), address[0])

trio.run(ask, UDPServer, "", "10.9.0.1", "10.9.0.2")
trio.run(ask, UDPServer, "::", "fd00::1", "fd00::2")
trio.run(ask, DualStackServer, "::", "10.9.0.1", "10.9.0.2")
trio.run(ask, DualStackServer, "::", "fd00::1", "fd00::2")
trio.run(ask, UDPServer, "::", "fe80::1%veth0", "fe80::1%veth0")
"""


async def test_on_a_machine_with_two_addresses() -> None:
    printed = await output_in_namespace(
        PROGRAM, "10.9.0.1/32", "10.9.0.2/32", "fd00::1/128", "fd00::2/128"
    )

    assert printed.splitlines() == [
        "UDPServer 10.9.0.2 10.9.0.2",
        "UDPServer fd00::2 fd00::2",
        "DualStackServer 10.9.0.2 10.9.0.2",
        "DualStackServer fd00::2 fd00::2",
        "UDPServer fe80::1 fe80::1",
    ]
