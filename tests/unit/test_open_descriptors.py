"""What the library has open, as a forked child closes it."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable, Iterator
from weakref import WeakSet

import pytest

from trioserver import _open_descriptors
from trioserver._open_descriptors import close_inherited, close_quietly, note_open


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Close nothing but what a test has opened."""
    monkeypatch.setattr(_open_descriptors, "_open", WeakSet())


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket() as made:
        yield note_open(made)


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def test_closes_a_socket_although_a_file_uses_it(sock: socket.socket) -> None:
    number = sock.fileno()

    with sock.makefile("rb"):
        close_inherited(frozenset())

        assert not is_open(number)
    assert sock.fileno() == -1


def test_closes_a_file() -> None:
    reader, writer = os.pipe()
    file = note_open(io.FileIO(reader))

    close_inherited(frozenset())

    os.close(writer)
    assert file.closed


def test_keeps_what_it_is_told_to(sock: socket.socket) -> None:
    close_inherited({sock.fileno()})

    assert is_open(sock.fileno())


def closed_socket() -> socket.socket:
    with socket.socket() as sock:
        return sock


def closed_file() -> io.FileIO:
    reader, writer = os.pipe()
    os.close(writer)
    with io.FileIO(reader) as file:
        return file


@pytest.mark.parametrize("make", [closed_socket, closed_file])
def test_leaves_alone_what_is_closed(
    make: Callable[[], socket.socket | io.FileIO],
) -> None:
    descriptor = note_open(make())

    close_inherited(frozenset())

    close_quietly(descriptor)


class Poller:
    """Has something open that is no file."""

    is_forgotten = False

    def forget(self) -> None:
        self.is_forgotten = True


def test_lets_others_forget() -> None:
    poller = note_open(Poller())

    close_inherited(frozenset())

    assert poller.is_forgotten


def test_leaves_alone_what_is_in_memory() -> None:
    class Fake:
        """A socket in a test."""

    _fake = note_open(Fake())  # type: ignore[type-var]  # what is accepted all the same

    close_inherited(frozenset())

    assert len(_open_descriptors._open) == 1


def test_keeps_nothing_alive(sock: socket.socket) -> None:
    note_open(Poller())

    assert list(_open_descriptors._open) == [sock]
