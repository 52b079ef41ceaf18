"""Who may have a listening socket besides this process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from trioserver._sockets.bind import make_socket
from trioserver._sockets.sharing import may_be_shared


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with make_socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        yield sock


@pytest.fixture
def _childless(monkeypatch: pytest.MonkeyPatch) -> None:
    def waitid(_which: int, _pid: int, _options: int) -> None:
        raise ChildProcessError

    monkeypatch.setattr(os, "waitid", waitid)


@pytest.mark.usefixtures("_childless")
def test_a_socket_is_shared_with_nobody_at_first(listener: socket.socket) -> None:
    assert not may_be_shared(listener)


@pytest.mark.usefixtures("_childless")
def test_a_plain_socket_does_not_know_its_copies() -> None:
    with socket.socket() as sock:
        assert not may_be_shared(sock)


@pytest.mark.usefixtures("_childless")
def test_a_socket_that_others_shall_inherit_may_be_shared(
    listener: socket.socket,
) -> None:
    listener.set_inheritable(True)

    assert may_be_shared(listener)


@pytest.mark.usefixtures("_childless")
def test_a_socket_that_was_duplicated_may_be_shared(listener: socket.socket) -> None:
    with listener.dup():
        assert may_be_shared(listener)


def test_every_child_may_have_it(listener: socket.socket) -> None:
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:  # noqa: S603  # ours
        assert may_be_shared(listener)
        child.communicate()


def test_where_nobody_can_ask_for_children_there_may_be_some(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "waitid")

    assert may_be_shared(listener)
