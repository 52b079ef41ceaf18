"""Which addresses are the server's own."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from trioserver._datagrams.own_address import OwnAddress, is_bound


@contextmanager
def bound(host: str, family: int = socket.AF_INET) -> Iterator[socket.socket]:
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((host, 0))
        yield sock


def test_is_the_address_that_the_socket_is_bound_to() -> None:
    with bound("127.0.0.1") as sock:
        own = OwnAddress(sock)
        host, port = sock.getsockname()

    assert (host, port) in own
    assert (host, port - 1) not in own
    assert ("127.0.0.2", port) not in own
    assert None not in own


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
def test_of_a_wildcard_is_every_address_of_this_machine(host: str) -> None:
    with bound("") as sock:
        own = OwnAddress(sock)
        port = sock.getsockname()[1]

    assert (host, port) in own
    assert (host, port - 1) not in own
    assert ("192.0.2.77", port) not in own


def test_of_a_wildcard_of_ipv6_is_the_loopback_address_in_both_families() -> None:
    with bound("::", socket.AF_INET6) as sock:
        own = OwnAddress(sock)
        port = sock.getsockname()[1]

    assert ("::1", port, 0, 0) in own
    assert ("::ffff:127.0.0.1", port, 0, 0) in own
    assert ("2001:db8::77", port, 0, 0) not in own


def test_is_not_known_while_there_are_no_descriptors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with bound("::", socket.AF_INET6) as sock:
        own = OwnAddress(sock)
        port = sock.getsockname()[1]

    def refuse(*_: object) -> object:
        raise OSError(errno.EMFILE, "no descriptors")

    monkeypatch.setattr(socket, "socket", refuse)

    assert ("::1", port, 0, 0) not in own


def test_of_a_unix_socket_is_its_name() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(b"\0trioserver-own-address")
        own = OwnAddress(sock)

        assert is_bound(sock)
    assert b"\0trioserver-own-address" in own
    assert None not in own


def test_a_socket_is_bound_once_it_has_a_port() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        before = is_bound(sock)
        sock.bind(("127.0.0.1", 0))
        after = is_bound(sock)

    assert (before, after) == (False, True)
    assert not is_bound(sock)


def test_a_unix_socket_is_bound_once_it_has_a_name() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        assert not is_bound(sock)
