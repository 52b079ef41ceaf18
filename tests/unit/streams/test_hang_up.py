"""Whether a connection is over in both directions."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from kit.serving import reset_on_close
from trioserver._streams import hang_up
from trioserver._streams.hang_up import is_hung_up

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(params=[True, False], ids=["poll", "no poll"])
def has_poll(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(hang_up, "_HAS_POLL", request.param)
    return bool(request.param)


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Yield both ends of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    with client, server:
        yield client, server


def test_an_open_connection_is_not_hung_up(pair: Pair, *, has_poll: bool) -> None:
    _, server = pair

    assert not is_hung_up(server)


def test_a_half_closed_connection_is_not_hung_up(pair: Pair, *, has_poll: bool) -> None:
    client, server = pair
    client.shutdown(socket.SHUT_WR)
    assert server.recv(1) == b""

    assert not is_hung_up(server)


def test_a_reset_connection_is_hung_up(pair: Pair, *, has_poll: bool) -> None:
    client, server = pair
    reset_on_close(client)
    client.close()
    with pytest.raises(ConnectionResetError):
        server.recv(1)

    assert is_hung_up(server)


def test_an_interrupted_connection_is_hung_up(pair: Pair) -> None:
    _, server = pair
    server.shutdown(socket.SHUT_RDWR)

    assert is_hung_up(server)


def test_a_socket_that_was_closed_here_is_not(pair: Pair, *, has_poll: bool) -> None:
    _, server = pair
    server.close()

    assert not is_hung_up(server)
