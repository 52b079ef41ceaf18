from __future__ import annotations

import errno
import socket

import pytest

from trioserver._testing.errnos import ERRNOS, Role, errnos_of, role_of
from trioserver._testing.socket_calls import METHODS


def test_each_name_is_one_of_linux() -> None:
    names = {name for row in ERRNOS.values() for name in row}

    assert sorted(name for name in names if not hasattr(errno, name)) == []


def test_each_operation_is_one_that_can_be_made_to_fail() -> None:
    epoll = {f"epoll_{what}" for what in ("create", "ctl_add", "ctl_mod", "ctl_del")}

    assert {operation for operation, _ in ERRNOS} <= {*METHODS, *epoll, "__init__"}


@pytest.mark.parametrize(
    ("operation", "role", "known"),
    [
        ("accept", Role.LISTENER, True),
        ("accept", Role.STREAM, False),
        ("close", Role.STREAM, True),
        ("getsockname", None, True),
        ("no_such", None, False),
    ],
)
def test_what_fails_depends_on_what_a_socket_is_for(
    operation: str, role: Role | None, *, known: bool
) -> None:
    assert bool(errnos_of(operation, role)) is known


def test_a_role_is_told_by_the_kernel() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as other:
        assert role_of(listener) is Role.LISTENER
        assert role_of(other) is Role.STREAM
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        assert role_of(datagrams) is Role.DATAGRAM
