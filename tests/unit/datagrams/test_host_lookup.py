"""Hosts are looked up if they are names, and only then."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from kit.datagrams import UpperDatagramHandler
from kit.name_server import FOUND, SCOPE, NameServer, ask_ours
from kit.serving import LOOPBACK
from trioserver import UDPServer
from trioserver._datagrams.host_lookup import looked_up
from trioserver._datagrams.replies import Address
from trioserver.testing import MemoryNetwork


@pytest.fixture
async def name_server() -> NameServer:
    ours = ask_ours()
    ours.gate.set()
    return ours


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["4", "6"])
def sock(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with socket.socket(request.param, socket.SOCK_DGRAM) as sock:
        yield sock


@pytest.mark.parametrize("host", ["a.example", b"a.example"], ids=["str", "bytes"])
async def test_looks_up_a_name_of_the_family_of_the_socket(
    host: str | bytes, sock: socket.socket, name_server: NameServer
) -> None:
    rest = (0, SCOPE) if sock.family == socket.AF_INET6 else ()
    found = await looked_up((host, 9), sock)

    assert found == (FOUND[sock.family], 9, *rest)
    question = b"a.example", 9, sock.family, socket.SOCK_DGRAM
    assert name_server.asked == [question]


@pytest.mark.parametrize(
    ("rest", "result"), [((1,), (1, SCOPE)), ((1, 2), (1, 2))], ids=["flow", "scope"]
)
async def test_keeps_what_else_is_given(
    rest: tuple[int, ...], result: tuple[int, ...], name_server: NameServer
) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        found = await looked_up(("a.example", 9, *rest), sock)

    assert found == (FOUND[socket.AF_INET6], 9, *result)


async def test_says_that_there_is_no_such_host(
    sock: socket.socket, name_server: NameServer
) -> None:
    with pytest.raises(socket.gaierror, match="no such host"):
        await looked_up(("nobody.example", 9), sock)


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, ("192.0.2.1", 9)),
        (socket.AF_INET, ("", 9)),
        (socket.AF_INET, ("<broadcast>", 9)),
        (socket.AF_INET6, ("2001:db8::1", 9, 0, 0)),
        # Wrong, and for the socket to say so.
        (socket.AF_INET, ("a.example",)),
        (socket.AF_INET, ("a.example\0", 9)),
        (socket.AF_INET, (b"a.example\0", 9)),
        (socket.AF_INET, ("a.example", "domain")),
        (socket.AF_INET, "a.example"),
        (socket.AF_UNIX, "/path"),
        (socket.AF_UNIX, b"\0name"),
        (socket.AF_UNIX, ("a.example", 9)),
    ],
)
async def test_leaves_all_else_alone(
    family: int, address: Address, name_server: NameServer
) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        assert await looked_up(address, sock) is address

    assert name_server.asked == []


async def test_asks_nobody_about_another_way_to_write_an_address(
    name_server: NameServer,
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert await looked_up((b"127.1", 9), sock) == ("127.0.0.1", 9)

    assert name_server.asked == []


async def test_leaves_names_to_a_network_in_memory(name_server: NameServer) -> None:
    with UDPServer(LOOPBACK, UpperDatagramHandler) as server:
        MemoryNetwork().adopt(server)
        address = ("a.example", 9)

        assert await looked_up(address, server.socket) is address

    assert name_server.asked == []
