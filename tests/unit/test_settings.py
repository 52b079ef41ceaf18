"""Settings: what each may be, and what is said about the rest."""

from __future__ import annotations

import math
import re
import select

import pytest

from trioserver._settings import (
    _CHECKS,
    check_seconds,
    check_setting,
    check_settings,
)

NAN = float("nan")

GOOD: dict[str, list[object]] = {
    "timeout": [None, 0, 0.5, 30, math.inf],
    "request_queue_size": [0, 5, 65535],
    "max_packet_size": [1, 8192, 65535],
    "multicast_groups": [(), [], ["239.1.2.3", "ff02::1%eth0"]],
    "max_sessions": [0, 1, 1000, math.inf],
    "session_timeout": [0, 0.5, 60, math.inf],
    "session_queue_size": [1, 16],
    "session_drop_policy": ["newest", "oldest"],
    "socket_mode": [0, 0o600, 0o777],
    "max_concurrent_requests": [0, 1, 1000, math.inf],
    "max_children": [0, 40, math.inf],
    "max_threads": [1, 40, math.inf],
    "drain_timeout": [0, 0.5, math.inf],
    "cleanup_timeout": [0, 1.0],
    "edge_triggered": [False, True],
    "linger_timeout": [0, 2.0],
    "max_linger_bytes": [0, 1048576, math.inf],
    "max_line_bytes": [0, 65536, math.inf],
    "max_read_bytes": [0, 1048576, math.inf],
}
WRONG_TYPE: dict[str, list[object]] = {
    "timeout": ["30", True, [1], 1j],
    "request_queue_size": [None, "5", True, 5.0, math.inf],
    "max_packet_size": [None, "5", True, 5.0, math.inf],
    "multicast_groups": [None, "239.1.2.3", 5],
    "max_sessions": [None, "5", True, 1.5, NAN],
    "session_timeout": [None, "1", False],
    "session_queue_size": [None, "5", True, 5.0, math.inf],
    "session_drop_policy": [None, 1],
    "socket_mode": [None, "600", True, 384.0],
    "max_concurrent_requests": [None, "5", True, 1.5, NAN, -math.inf],
    "max_children": [None, "5", True, 1.5],
    "max_threads": [None, "5", True, 1.5, NAN, -math.inf],
    "drain_timeout": [None, "1", False],
    "cleanup_timeout": [None, "1", False],
    "edge_triggered": [None, "yes", 1],
    "linger_timeout": [None, "1", False],
    "max_linger_bytes": [None, "1", False, 1.5],
    "max_line_bytes": [None, "1", False, 1.5],
    "max_read_bytes": [None, "1", False, 1.5],
}
OUT_OF_RANGE: dict[str, list[object]] = {
    "timeout": [-1, -0.1, NAN, -math.inf],
    "request_queue_size": [-1],
    "max_packet_size": [-1, 0],
    "multicast_groups": [["127.0.0.1"], ["a name"], [None]],
    "max_sessions": [-1],
    "session_timeout": [-1, NAN],
    "session_queue_size": [-1, 0],
    "session_drop_policy": ["", "random"],
    "socket_mode": [-1, 0o1000, 600, 660],
    "max_concurrent_requests": [-1],
    "max_children": [-1],
    "max_threads": [-1, 0],
    "drain_timeout": [-1, NAN],
    "cleanup_timeout": [-1, NAN, math.inf],
    "edge_triggered": [],
    "linger_timeout": [-1, NAN, math.inf],
    "max_linger_bytes": [-1],
    "max_line_bytes": [-1],
    "max_read_bytes": [-1],
}


def rows(table: dict[str, list[object]]) -> list[tuple[str, object]]:
    return [(name, value) for name, values in table.items() for value in values]


def test_every_setting_is_tested_here() -> None:
    assert GOOD.keys() == WRONG_TYPE.keys() == OUT_OF_RANGE.keys() == _CHECKS.keys()


@pytest.mark.parametrize(("name", "value"), rows(GOOD))
def test_accepts_what_a_setting_may_be(name: str, value: object) -> None:
    check_setting(name, value)


@pytest.mark.parametrize(("name", "value"), rows(WRONG_TYPE))
def test_refuses_a_value_of_a_wrong_type_by_name(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be a .*, not {_quoted(value)}$"):
        check_setting(name, value)


@pytest.mark.parametrize(("name", "value"), rows(OUT_OF_RANGE))
def test_refuses_a_value_out_of_range_by_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be "):
        check_setting(name, value)


def _quoted(value: object) -> str:
    return re.escape(repr(value))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "max_concurrent_requests",
            -1,
            (
                "max_concurrent_requests must be a whole number, or math.inf for no "
                "limit, not -1"
            ),
        ),
        (
            "request_queue_size",
            -1,
            "request_queue_size must be a whole number, 0 or more, not -1",
        ),
        (
            "timeout",
            NAN,
            "timeout must be 0 or more seconds (math.inf: no limit), not nan",
        ),
        (
            "linger_timeout",
            math.inf,
            "linger_timeout must be finite, or stopping could take for ever",
        ),
    ],
)
def test_says_what_would_be_right(name: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_setting(name, value)


def test_lets_other_attributes_be_anything() -> None:
    check_setting("anything_else", object())


def test_checks_an_argument_as_it_checks_a_setting() -> None:
    with pytest.raises(TypeError, match=r"^poll_interval must be a number of seconds"):
        check_seconds("poll_interval", "0.5")


class Base:
    timeout: object = None


class Inheriting(Base):
    linger_timeout: object = 2.0


class Misled(Inheriting):
    timeout = "soon"


def test_checks_all_settings_that_an_object_has() -> None:
    check_settings(Inheriting())


def test_finds_a_wrong_setting_on_a_class() -> None:
    with pytest.raises(TypeError, match=r"^timeout must be"):
        check_settings(Misled())


def test_refuses_edges_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "epoll")

    check_setting("edge_triggered", False)
    with pytest.raises(ValueError, match="must be False on this system"):
        check_setting("edge_triggered", True)
