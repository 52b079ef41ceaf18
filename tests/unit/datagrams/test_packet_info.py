"""Where a datagram was sent to: what the kernel says, and what it is told."""

from __future__ import annotations

import ipaddress
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trioserver._datagrams.packet_info import (
    AncillaryItem,
    ask_for_destinations,
    destination,
    reply_source,
)
from unit.datagrams.scripted import ScriptedSocket, as_socket

IP_PKTINFO = 8


def ipv4(ours: str, header: str = "0.0.0.0", interface: int = 3) -> AncillaryItem:  # noqa: S104  # an item's value
    packed = struct.pack(
        "=i4s4s", interface, socket.inet_aton(ours), socket.inet_aton(header)
    )
    return socket.IPPROTO_IP, IP_PKTINFO, packed


def ipv6(address: str, interface: int = 3) -> AncillaryItem:
    packed = socket.inet_pton(socket.AF_INET6, address) + struct.pack("=I", interface)
    return socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, packed


OTHERS = [(socket.SOL_SOCKET, 40, b"drop"), (socket.IPPROTO_IP, 1, b"tos!")]


def test_nobody_has_told() -> None:
    assert destination(OTHERS) is None
    assert reply_source(OTHERS) == []


def test_ipv4_leaves_the_interface_to_the_kernel() -> None:
    assert destination([ipv4("127.0.0.2")]) == "127.0.0.2"
    assert reply_source([ipv4("127.0.0.2")]) == [ipv4("127.0.0.2", interface=0)]


def test_a_multicast_is_answered_from_the_address_that_it_came_in_by() -> None:
    item = ipv4("192.0.2.1", header="239.1.2.3")

    assert destination([item]) == "192.0.2.1"
    assert reply_source([item]) == [ipv4("192.0.2.1", interface=0)]


def test_what_came_before_the_option_was_set_is_answered_as_the_kernel_likes() -> None:
    item = ipv4("0.0.0.0", header="127.0.0.2")  # noqa: S104  # what it says then

    assert destination([item]) == "127.0.0.2"
    assert reply_source([item]) == []


def test_ipv6_leaves_the_interface_to_the_kernel() -> None:
    assert destination([ipv6("2001:db8::1")]) == "2001:db8::1"
    assert reply_source([ipv6("2001:db8::1")]) == [ipv6("2001:db8::1", interface=0)]


@pytest.mark.parametrize("address", ["fe80::1", "febf:ffff::1"])
def test_a_link_local_address_keeps_its_interface(address: str) -> None:
    assert reply_source([ipv6(address)]) == [ipv6(address)]


@pytest.mark.parametrize("address", ["ff02::1", "ff0e::42"])
def test_nobody_can_send_from_a_group_of_ipv6(address: str) -> None:
    assert destination([ipv6(address)]) == address
    assert reply_source([ipv6(address)]) == []


@settings(deadline=None)
@given(
    address=st.ip_addresses(v=6),
    interface=st.integers(0, 2**32 - 1),
)
def test_an_address_of_ipv6_is_told_from_others_as_ipaddress_does(
    address: ipaddress.IPv6Address, interface: int
) -> None:
    item = ipv6(str(address), interface)

    source = reply_source([item])

    kept = interface if address in ipaddress.ip_network("fe80::/10") else 0
    expected = [] if address.packed[0] == 0xFF else [ipv6(str(address), kept)]
    assert source == expected


@settings(deadline=None)
@given(st.permutations([*OTHERS, ipv4("192.0.2.1"), ipv6("::ffff:192.0.2.1")]))
def test_of_two_items_the_one_for_ipv4_counts_in_any_order(
    ancillary: list[AncillaryItem],
) -> None:
    assert destination(ancillary) == "192.0.2.1"
    assert reply_source(ancillary) == [ipv4("192.0.2.1", interface=0)]


def test_a_system_that_cannot_tell_is_no_error() -> None:
    ask_for_destinations(as_socket(ScriptedSocket(address=("0.0.0.0", 9))))  # noqa: S104  # nobody listens
