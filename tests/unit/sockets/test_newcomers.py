"""Nobody gets in any more, and nobody who is in is put out."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Iterator

import pytest

from trioserver._sockets import newcomers
from trioserver._sockets.newcomers import turn_newcomers_away


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family, host = request.param
    with socket.socket(family) as sock:
        sock.bind((host, 0))
        sock.listen()
        sock.setblocking(False)
        yield sock


def come(listener: socket.socket) -> socket.socket:
    """Return a client that has begun to connect."""
    client = socket.socket(listener.family)
    client.setblocking(False)
    assert client.connect_ex(listener.getsockname()) == errno.EINPROGRESS
    return client


def is_connected(client: socket.socket) -> bool:
    """On loopback, who can be connected is connected at once."""
    return bool(select.select([], [client], [], 0)[1])


def test_who_is_in_the_queue_is_accepted(listener: socket.socket) -> None:
    with come(listener) as first, come(listener) as second:
        assert turn_newcomers_away(listener)

        for client in (first, second):
            with listener.accept()[0] as accepted:
                accepted.sendall(b"hello")
                assert client.recv(5) == b"hello"


def test_a_newcomer_is_not_told_that_it_is_connected(listener: socket.socket) -> None:
    assert turn_newcomers_away(listener)

    with come(listener) as newcomer:
        assert not is_connected(newcomer)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_without_this_one_gets_into_an_empty_queue(listener: socket.socket) -> None:
    listener.listen(0)

    with come(listener) as newcomer:
        assert is_connected(newcomer)


def test_a_unix_socket_has_no_such_thing() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        assert not turn_newcomers_away(sock)


def test_a_system_that_does_not_let_us_is_no_error(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newcomers, "_SO_ATTACH_FILTER", -1)
    assert not turn_newcomers_away(listener)

    monkeypatch.setattr(newcomers, "_HAS_FILTERS", False)
    assert not turn_newcomers_away(listener)
