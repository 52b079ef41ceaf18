"""The listening socket knows what it is."""

from __future__ import annotations

import os
import pickle
import socket
import sys
from multiprocessing import context, reduction

import pytest

from trioserver._sockets.bind import make_socket
from trioserver._sockets.server_socket import ServerSocket


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


def test_a_server_socket_can_be_made_as_any_socket_is() -> None:
    with ServerSocket(family=socket.AF_INET, type=socket.SOCK_STREAM) as sock:
        assert sock.type is socket.SOCK_STREAM
        assert not sock.is_copied


class Spawning:
    """A process that is being started, as multiprocessing has it."""

    duplicate_for_child = staticmethod(os.dup)

    class DupFd:
        """A descriptor, for the process that is started."""

        def __init__(self, descriptor: int) -> None:
            self.descriptor = descriptor

        def detach(self) -> int:
            """Give the descriptor away."""
            return self.descriptor


def test_a_server_socket_can_be_given_to_a_process_that_is_spawned() -> None:
    with make_socket(socket.AF_INET, socket.SOCK_STREAM) as ours:
        assert isinstance(ours, ServerSocket)
        ours.bind(("127.0.0.1", 0))
        assert not ours.is_copied
        context.set_spawning_popen(Spawning())  # type: ignore[arg-type]  # what it asks
        try:
            pickled = reduction.ForkingPickler.dumps(ours)
        finally:
            context.set_spawning_popen(None)
        with pickle.loads(pickled) as theirs:  # noqa: S301  # our own
            assert theirs.getsockname() == ours.getsockname()
        assert ours.is_copied


def test_a_server_socket_can_be_pickled_by_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "multiprocessing.reduction")
    with (
        make_socket(socket.AF_INET, socket.SOCK_STREAM) as sock,
        pytest.raises(TypeError, match="cannot pickle"),
    ):
        pickle.dumps(sock)
