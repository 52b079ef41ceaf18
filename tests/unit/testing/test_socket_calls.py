"""What is put in the place of the operations, and that it is put back."""

from __future__ import annotations

import select
import socket
from contextlib import suppress

import pytest

from trioserver._testing import socket_calls
from trioserver._testing.socket_calls import (
    Intercept,
    InterceptedEpoll,
    Operation,
    intercepted,
    tell_again,
)


def passing(journal: list[str]) -> Intercept:
    """Return what notes the operations, and does them."""

    def intercept(
        operation: str,
        sock: socket.socket | None,
        original: Operation,
        arguments: tuple[object, ...],
    ) -> object:
        journal.append(operation)
        return original(*([] if sock is None else [sock]), *arguments)

    return intercept


def test_operations_of_all_sockets_pass() -> None:
    journal: list[str] = []
    before = dict(vars(socket.socket))
    pair = socket.socketpair(type=socket.SOCK_DGRAM)
    with intercepted(passing(journal)):
        for sock in pair:
            sock.send(b"x")
        for sock in pair:
            sock.close()
        with socket.socket(type=socket.SOCK_DGRAM) as made:
            made.bind(("127.0.0.1", 0))

    assert journal == ["send", "send", "close", "close", "__init__", "bind", "close"]
    assert dict(vars(socket.socket)) == before


def test_all_is_put_back_after_an_error() -> None:
    epoll, recv = select.epoll, socket.socket.recv
    with suppress(LookupError), intercepted(passing([])):
        assert socket.socket.recv is not recv
        raise LookupError

    assert select.epoll is epoll
    assert socket.socket.recv is recv


def test_an_epoll_is_one_for_all_who_use_it() -> None:
    journal: list[str] = []
    with intercepted(passing(journal)):
        epoll: object = select.epoll()
        assert isinstance(epoll, InterceptedEpoll)
        with epoll, socket.socket() as sock:
            with pytest.raises(FileNotFoundError):
                epoll.modify(sock.fileno(), select.EPOLLIN)
            with pytest.raises(FileNotFoundError):
                epoll.unregister(sock.fileno())
            epoll.register(sock, select.EPOLLIN | select.EPOLLET)
            epoll.modify(sock.fileno(), select.EPOLLOUT | select.EPOLLET)
            assert epoll.poll(0, 1)
            assert not epoll.poll(0, 1)
            tell_again(sock)
            assert epoll.poll(0, 1)
            epoll.unregister(sock.fileno())
            assert epoll.fileno() > 0

    assert journal == [
        "epoll_create",
        "__init__",
        "epoll_ctl_add",
        "epoll_ctl_mod",
        "epoll_ctl_del",
        "close",
    ]


def test_what_a_system_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "epoll")
    monkeypatch.setattr(socket_calls, "METHODS", ("no_such_method", "bind"))
    journal: list[str] = []
    with intercepted(passing(journal)), socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        assert not hasattr(select, "epoll")

    assert journal == ["__init__", "bind"]
