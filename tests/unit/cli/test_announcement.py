"""What is said when servers start and stop."""

from __future__ import annotations

import math
import signal

import pytest

from trioserver._cli.announcement import serving_lines, stopping_line
from trioserver._cli.bind_address import BindAddress


def test_says_where_it_listens_how_to_try_it_and_how_to_stop() -> None:
    addresses = [BindAddress("localhost", 80), BindAddress("::1", 81)]

    assert serving_lines("chat:Chat", addresses) == [
        "Serving chat:Chat on tcp://localhost:80",
        "Serving chat:Chat on tcp://[::1]:81",
        "To try it, type in another terminal: nc localhost 80",
        "To stop it, press Ctrl-C here",
    ]


@pytest.mark.parametrize(
    ("host", "command"),
    [
        ("0.0.0.0", "nc localhost 80"),  # noqa: S104  # nothing is bound
        ("::", "nc ::1 80"),
    ],
)
def test_tells_clients_an_address_that_they_can_connect_to(
    host: str, command: str
) -> None:
    lines = serving_lines("chat:Chat", [BindAddress(host, 80)])

    assert lines[1].endswith(command)


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
