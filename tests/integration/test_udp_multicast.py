"""Groups that a server joins, on loopback."""

from __future__ import annotations

import socket
import struct

import pytest

from kit.datagrams import UpperDatagramHandler, open_unconnected
from kit.namespaces import output_in_namespace
from kit.serving import eventually, serving
from trioserver import UDPServer

GROUP, OTHER_GROUP = "239.255.77.1", "239.255.77.2"


class GroupServer(UDPServer):
    multicast_groups = (f"{GROUP}%lo",)
    allow_reuse_address = True


async def ask_group(server: UDPServer, group: str) -> tuple[bytes, str]:
    """Write to *group* on loopback. Return what is answered, and from where."""
    with open_unconnected() as client:
        loopback = socket.inet_aton("127.0.0.1")
        client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)
        await client.sendto(b"hello", (group, server.server_address[1]))
        reply, address = await client.recvfrom(100)
    return reply, address[0]


@pytest.mark.parametrize("interface", ["%lo", "%127.0.0.1"])
@pytest.mark.parametrize("bound_to", ["", GROUP])
async def test_what_is_sent_to_a_group_is_answered(
    interface: str, bound_to: str
) -> None:
    class Server(UDPServer):
        multicast_groups = (GROUP + interface,)

    async with serving(Server((bound_to, 0), UpperDatagramHandler)) as server:
        assert await ask_group(server, GROUP) == (b"HELLO", "127.0.0.1")


async def test_all_servers_with_one_address_get_it() -> None:
    async with serving(GroupServer(("", 0), UpperDatagramHandler)) as first:
        port = first.server_address[1]
        async with serving(GroupServer(("", port), UpperDatagramHandler)) as second:
            await ask_group(first, GROUP)
            await eventually(lambda: second.statistics().handled)
            await eventually(lambda: first.statistics().handled)


async def test_a_group_that_only_others_have_joined_is_none_of_ours() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        membership = struct.pack(
            "=4s4s", socket.inet_aton(OTHER_GROUP), socket.inet_aton("127.0.0.1")
        )
        other.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        async with serving(GroupServer(("", 0), UpperDatagramHandler)) as server:
            with open_unconnected() as client:
                loopback = socket.inet_aton("127.0.0.1")
                client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)
                address = (OTHER_GROUP, server.server_address[1])
                await client.sendto(b"not for us", address)
            await ask_group(server, GROUP)

    assert server.statistics().received == 1


def test_an_interface_that_does_not_exist_is_an_error_of_the_constructor() -> None:
    class Server(UDPServer):
        multicast_groups = (f"{GROUP}%no-such-one",)

    with pytest.raises(OSError, match="interface"):
        Server(("", 0), UpperDatagramHandler)


def test_the_system_may_choose_the_interface(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether it can depends on its routes, so it is not asked here."""
    joined = []
    monkeypatch.setattr(
        "trioserver._servers.udp.join_group", lambda _sock, group: joined.append(group)
    )

    class Server(UDPServer):
        multicast_groups = (GROUP,)

    Server(("", 0), UpperDatagramHandler).socket.close()

    assert joined == [GROUP]


PROGRAM = """
import socket, trio
from kit.datagrams import UpperDatagramHandler
from kit.serving import serving
from trioserver import UDPServer

class Server(UDPServer):
    multicast_groups = ("ff02::77%veth0",)

async def ask():
    async with serving(Server(("::", 0), UpperDatagramHandler)) as server:
        veth0 = socket.if_nametoindex("veth0")
        with trio.socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
            address = ("ff02::77", server.server_address[1], 0, veth0)
            await client.sendto(b"hello", address)
            reply, address = await client.recvfrom(100)
            print(reply.decode(), address[0])

trio.run(ask)
"""


async def test_over_ipv6() -> None:
    printed = await output_in_namespace(PROGRAM)

    assert printed.split() == ["HELLO", "fe80::1"]
