"""What is said when servers start and stop."""

from __future__ import annotations

import math
import signal

import pytest

from trioserver._cli.announcement import serving_lines, stopping_line
from trioserver._cli.bind_address import BindAddress
from trioserver._cli.inet_address import InetAddress
from trioserver._cli.unix_address import UnixAddress


def test_says_where_it_listens_how_to_try_it_and_how_to_stop() -> None:
    addresses = [InetAddress("tcp", "localhost", 80), InetAddress("tcp", "::1", 81)]

    assert serving_lines("chat:Chat", addresses) == [
        "Serving chat:Chat on tcp://localhost:80",
        "Serving chat:Chat on tcp://[::1]:81",
        "To try it, type in another terminal: nc localhost 80",
        "To stop it, press Ctrl-C here",
    ]


@pytest.mark.parametrize(
    ("address", "command"),
    [
        (InetAddress("tcp", "0.0.0.0", 80), "nc localhost 80"),  # noqa: S104  # nothing is bound
        (InetAddress("tcp", "::", 80), "nc ::1 80"),
        (InetAddress("udp", "localhost", 80), "nc -4u localhost 80"),
        (InetAddress("udp", "0.0.0.0", 80), "nc -4u localhost 80"),  # noqa: S104  # as above
        (InetAddress("udp", "::", 80), "nc -u ::1 80"),
        (UnixAddress("unix", "/run/x.sock", 0o660), "nc -U /run/x.sock"),
        (UnixAddress("unix", "/a place/x"), "nc -U '/a place/x'"),
        (UnixAddress("unixgram", "/run/x.sock"), "nc -uU /run/x.sock"),
        (UnixAddress("unix", "\0x y"), "socat - 'ABSTRACT-CONNECT:x y'"),
        (
            UnixAddress("unixgram", "\0x"),
            "socat - ABSTRACT-SENDTO:x,bind=x-client",
        ),
    ],
    ids=str,
)
def test_tells_clients_an_address_that_they_can_connect_to(
    address: BindAddress, command: str
) -> None:
    lines = serving_lines("chat:Chat", [address])

    assert lines[1] == f"To try it, type in another terminal: {command}"


def test_says_how_to_try_each_kind_of_address_once() -> None:
    addresses: list[BindAddress] = [
        UnixAddress("unix", "/a"),
        InetAddress("tcp", "h", 1),
        UnixAddress("unix", "/b"),
    ]

    assert serving_lines("it", addresses)[3:-1] == [
        "To try it, type in another terminal: nc -U /a",
        "To try it, type in another terminal: nc h 1",
    ]


@pytest.mark.parametrize(
    ("requests", "drain_timeout", "line"),
    [
        (0, 10, "SIGTERM: stopping; no request is running"),
        (0, 0, "SIGTERM: stopping; no request is running"),
        (1, 0, "SIGTERM: stopping at once; 1 request cancelled"),
        (
            1,
            10,
            (
                "SIGTERM: stopping; waiting for 1 request to finish, at most 10 s; "
                "a second signal stops at once"
            ),
        ),
        (
            2,
            math.inf,
            (
                "SIGTERM: stopping; waiting for 2 requests to finish, for as long as "
                "it takes; a second signal stops at once"
            ),
        ),
    ],
)
def test_says_how_many_requests_it_waits_for(
    requests: int, drain_timeout: float, line: str
) -> None:
    assert stopping_line(signal.SIGTERM, requests, drain_timeout) == line
