"""The listening socket knows what it is."""

from __future__ import annotations

import socket

from trioserver._sockets.bind import make_socket


def test_a_server_socket_says_of_itself_what_any_socket_says() -> None:
    with (
        make_socket(socket.AF_INET6, socket.SOCK_STREAM) as ours,
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as other,
    ):
        other.setblocking(False)

        assert (ours.family, ours.type) == (other.family, other.type)
        assert isinstance(ours.family, socket.AddressFamily)
        assert isinstance(ours.type, socket.SocketKind)


def test_a_server_socket_can_be_duplicated() -> None:
    with make_socket(socket.AF_INET, socket.SOCK_STREAM) as ours, ours.dup() as other:
        assert (ours.family, ours.type) == (other.family, other.type)


def test_what_a_server_socket_accepts_is_a_plain_socket() -> None:
    with make_socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(True)
        with (
            socket.create_connection(listener.getsockname()) as client,
            listener.accept()[0] as accepted,
        ):
            assert type(accepted) is socket.socket
            assert accepted.getpeername() == client.getsockname()


def test_a_socket_that_accepts_nothing_is_a_plain_socket() -> None:
    with make_socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert type(sock) is socket.socket
