"""Addresses: refused early, in words; written as people write them."""

from __future__ import annotations

import re
import socket

import pytest

from trioserver._sockets.addresses import (
    check_address,
    format_address,
    infer_family,
    with_scope,
)

INET, INET6 = socket.AF_INET, socket.AF_INET6


@pytest.mark.parametrize(
    ("family", "address", "expected"),
    [
        (INET, ("::1", 0), INET6),
        (INET, ("fe80::1%lo", 0), INET6),
        (INET, ("::ffff:127.0.0.1", 0), INET6),
        (INET6, ("127.0.0.1", 0), INET6),
        (INET, ("127.0.0.1", 0), INET),
        (INET, ("localhost", 0), INET),
        (INET, ("no:ipv6", 0), INET),
        (INET, (b"::1", 0), INET),
        (INET, ("", 0), INET),
        (INET, (), INET),
        (INET, "::1", INET),
        (socket.AF_UNIX, ("::1", 0), socket.AF_UNIX),
    ],
)
def test_infers_the_family_from_an_ipv6_literal_only(
    family: int, address: object, expected: int
) -> None:
    assert infer_family(family, address) == expected


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (INET, ("", 0)),
        (INET, (b"localhost", 80)),
        (INET, (bytearray(b"localhost"), 80)),
        (INET, ("127.0.0.1", 65535)),
        (INET6, ("::1", 0, 0, 0)),
        (socket.AF_UNIX, "/a/path"),
    ],
)
def test_accepts_what_a_socket_could_be_bound_to(family: int, address: object) -> None:
    check_address(family, address)


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("host:80", TypeError, "must be a tuple (host, port), not 'host:80'"),
        (("host",), TypeError, "must be a tuple (host, port), not ('host',)"),
        (["host", 80], TypeError, "must be a tuple (host, port), not ['host', 80]"),
        (None, TypeError, "must be a tuple (host, port), not None"),
        ((None, 80), TypeError, "the host of a server address must be a string"),
        ((1, 80), TypeError, "must be a string, not 1"),
        (("host", "80"), TypeError, "must be a number, not '80': 0 to let the system"),
        (("host", True), TypeError, "must be a number, not True"),
        (("host", 80.0), TypeError, "must be a number, not 80.0"),
        (("host", -1), OverflowError, "must be 0 to 65535, not -1"),
        (("host", 65536), OverflowError, "must be 0 to 65535, not 65536"),
    ],
)
@pytest.mark.parametrize("family", [INET, INET6])
def test_refuses_a_bad_address_in_words(
    family: int, address: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        check_address(family, address)


def test_finds_the_number_of_a_zone() -> None:
    address = with_scope(("fe80::1%lo", 80))

    assert address == ("fe80::1", 80, 0, socket.if_nametoindex("lo"))


@pytest.mark.parametrize(
    "address",
    [("fe80::1", 80), ("127.0.0.1", 80), ("odd%name", 80), ("fe80::1", 80, 0, 1), "%"],
)
def test_leaves_an_address_without_a_named_zone_alone(address: object) -> None:
    assert with_scope(address) is address


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (("127.0.0.1", 80), "127.0.0.1:80"),
        (("::1", 80, 0, 0), "[::1]:80"),
        (("", 80), ":80"),
        ("/a/path", "'/a/path'"),
        (("odd",), "('odd',)"),
        (None, "None"),
    ],
)
def test_writes_an_address_as_people_do(address: object, text: str) -> None:
    assert format_address(address) == text
