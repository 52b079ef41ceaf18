"""What a socket is told when it shall join a group."""

from __future__ import annotations

import socket
import struct

import pytest

from trioserver._datagrams.multicast import join_group
from unit.datagrams.scripted import ScriptedSocket, as_socket

LOOPBACK_INTERFACE = socket.if_nametoindex("lo")


def joined(group: str) -> tuple[object, ...]:
    """Return the last option that is set to join *group*."""
    scripted = ScriptedSocket()
    with pytest.raises(OSError, match=r"^$"):
        join_group(as_socket(scripted), group)
    return scripted.options[-1]


@pytest.mark.parametrize(
    ("group", "address", "interface"),
    [
        ("239.1.2.3", "0.0.0.0", 0),  # noqa: S104  # the system chooses
        ("239.1.2.3%127.0.0.1", "127.0.0.1", 0),
        ("239.1.2.3%lo", "0.0.0.0", LOOPBACK_INTERFACE),  # noqa: S104  # as above
    ],
)
def test_over_ipv4(group: str, address: str, interface: int) -> None:
    membership = struct.pack(
        "=4s4si", socket.inet_aton("239.1.2.3"), socket.inet_aton(address), interface
    )

    assert joined(group) == (
        socket.IPPROTO_IP,
        socket.IP_ADD_MEMBERSHIP,
        membership,
    )


@pytest.mark.parametrize(
    ("group", "interface"), [("ff02::7", 0), ("ff02::7%lo", LOOPBACK_INTERFACE)]
)
def test_over_ipv6(group: str, interface: int) -> None:
    packed = socket.inet_pton(socket.AF_INET6, "ff02::7")
    membership = struct.pack("=16sI", packed, interface)

    assert joined(group) == (
        socket.IPPROTO_IPV6,
        socket.IPV6_JOIN_GROUP,
        membership,
    )


@pytest.mark.parametrize(("system", "options"), [("linux", 2), ("other", 0)])
def test_only_linux_has_to_be_told_to_leave_others_groups_alone(
    system: str, options: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", system)
    scripted = ScriptedSocket()

    with pytest.raises(OSError, match=r"^$"):
        join_group(as_socket(scripted), "239.1.2.3")

    assert len(scripted.options) == options + 1
