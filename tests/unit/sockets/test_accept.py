"""Accepting: nothing is lost, and errors are told apart."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from kit.serving import LOOPBACK, STUCK, UpperHandler, eventually, reset_on_close
from trioserver import TCPServer
from trioserver._sockets import accept as _accept
from trioserver._sockets.accept import (
    AcceptFailure,
    _errnos,
    accept,
    classify,
    has_queued,
    is_listening,
)
from trioserver.testing import MemoryNetwork


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        yield sock


def connect(listener: socket.socket) -> socket.socket:
    return socket.create_connection(listener.getsockname())


async def test_accepts_a_connection_with_its_address(listener: socket.socket) -> None:
    with connect(listener) as client:
        sock, address = await accept(listener)
        sock.close()

        assert address == client.getsockname()


async def test_waits_for_a_connection(listener: socket.socket) -> None:
    accepted: list[object] = []

    async def accept_one() -> None:
        sock, address = await accept(listener)
        sock.close()
        accepted.append(address)

    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept_one)
            await trio.testing.wait_all_tasks_blocked()
            client = connect(listener)
    client.close()

    assert len(accepted) == 1


async def test_accepts_nothing_when_it_is_cancelled(listener: socket.socket) -> None:
    with connect(listener):
        with trio.CancelScope() as scope:
            scope.cancel()
            await accept(listener)

        assert scope.cancelled_caught
        assert has_queued(listener)


async def test_knows_the_address_of_a_client_that_has_reset(
    listener: socket.socket,
) -> None:
    client = connect(listener)
    expected = client.getsockname()
    reset_on_close(client)
    client.close()

    sock, address = await accept(listener)

    with sock, pytest.raises(OSError, match="not connected"):
        sock.getpeername()
    assert address == expected


async def test_is_woken_when_the_listener_is_closed(listener: socket.socket) -> None:
    async def accept_in_vain() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await accept(listener)

    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept_in_vain)
            await trio.testing.wait_all_tasks_blocked()
            trio.lowlevel.notify_closing(listener)
            listener.close()


async def test_a_closed_listener_is_broken(listener: socket.socket) -> None:
    listener.close()

    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        await accept(listener)

    assert classify(caught.value) is AcceptFailure.LISTENER


async def test_a_socket_that_does_not_listen_is_broken() -> None:
    with socket.socket() as sock:
        sock.setblocking(False)

        with pytest.raises(OSError, match="Invalid argument") as caught:
            await accept(sock)

    assert classify(caught.value) is AcceptFailure.LISTENER


# accept(2) names the first row's numbers as errors of the new connection.
PEER_ERRORS = [
    *map(OSError, _errnos("ENETDOWN", "EPROTO", "ENOPROTOOPT", "EHOSTDOWN"), [""] * 4),
    *map(OSError, _errnos("ENONET", "EHOSTUNREACH", "EOPNOTSUPP"), [""] * 3),
    OSError(errno.ENETUNREACH, ""),
    ConnectionAbortedError(errno.ECONNABORTED, ""),
    PermissionError(errno.EPERM, ""),
    OSError("without a number"),
    ssl.SSLError("handshake"),
    TimeoutError("handshake"),
]


@pytest.mark.parametrize("error", PEER_ERRORS, ids=repr)
def test_an_error_of_one_connection_is_about_the_peer(error: OSError) -> None:
    assert classify(error) is AcceptFailure.PEER


@pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ENOSPC"])
def test_a_shortage_is_about_capacity(name: str) -> None:
    error = OSError(getattr(errno, name), "")

    assert classify(error) is AcceptFailure.CAPACITY


@pytest.mark.parametrize("name", ["EBADF", "EINVAL", "ENOTSOCK", "EFAULT"])
def test_a_broken_socket_is_about_the_listener(name: str) -> None:
    error = OSError(getattr(errno, name), "")

    assert classify(error) is AcceptFailure.LISTENER


def test_leaves_out_the_numbers_that_this_system_lacks() -> None:
    assert _errnos("EBADF", "ENOSUCHNAME") == {errno.EBADF}


def test_tells_whether_a_connection_waits(listener: socket.socket) -> None:
    before = has_queued(listener)
    with connect(listener):
        between = has_queued(listener)
    listener.accept()[0].close()

    assert (before, between, has_queued(listener)) == (False, True, False)


def test_nobody_is_queued_on_a_closed_listener() -> None:
    listener = socket.socket()
    listener.close()

    assert not has_queued(listener)


on_unix = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here"
)


@pytest.fixture
def unix_listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "sock"))
        sock.listen()
        sock.setblocking(False)
        yield sock


def shut_down_elsewhere(listener: socket.socket) -> None:
    """Shut *listener* down through another descriptor, as a process that shares it."""
    with listener.dup() as other:
        other.setblocking(False)
        other.shutdown(socket.SHUT_RDWR)


@on_unix
async def test_a_unix_listener_that_was_shut_down_is_broken(
    unix_listener: socket.socket,
) -> None:
    shut_down_elsewhere(unix_listener)

    with trio.fail_after(STUCK), pytest.raises(OSError, match="shut down") as caught:
        await accept(unix_listener)

    assert classify(caught.value) is AcceptFailure.LISTENER
    assert not is_listening(unix_listener)


@on_unix
async def test_who_has_connected_before_a_shutdown_is_still_accepted(
    unix_listener: socket.socket,
) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(unix_listener.getsockname())
        shut_down_elsewhere(unix_listener)

        accepted, _ = await accept(unix_listener)

        accepted.close()


@on_unix
async def test_a_unix_listener_whose_client_somebody_else_was_faster_to_accept_waits_on(
    unix_listener: socket.socket,
) -> None:
    """As with processes that share it."""
    taken: list[socket.socket] = []

    class Slow(socket.socket):
        """Lets somebody else accept first."""

        def accept(self) -> tuple[socket.socket, object]:
            if not taken and has_queued(self):
                taken.append(unix_listener.accept()[0])
            return super().accept()

    with (
        Slow(fileno=socket.dup(unix_listener.fileno())) as slow,
        socket.socket(socket.AF_UNIX) as first,
        socket.socket(socket.AF_UNIX) as second,
        trio.fail_after(STUCK),
    ):
        slow.setblocking(False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept_and_close, slow)
            await trio.testing.wait_all_tasks_blocked()
            first.connect(unix_listener.getsockname())
            await eventually(lambda: taken)
            await trio.testing.wait_all_tasks_blocked()
            second.connect(unix_listener.getsockname())
    taken[0].close()


async def accept_and_close(listener: socket.socket) -> None:
    sock, _ = await accept(listener)
    sock.close()


def test_a_listener_listens_until_it_is_closed(listener: socket.socket) -> None:
    before = is_listening(listener)
    listener.close()

    assert (before, is_listening(listener)) == (True, False)


async def test_a_listener_in_memory_listens_until_it_is_closed() -> None:
    server = MemoryNetwork().adopt(TCPServer(LOOPBACK, UpperHandler))
    before = is_listening(server.socket)
    await server.server_close()

    assert (before, is_listening(server.socket)) == (True, False)


async def test_where_nothing_tells_that_a_listener_was_shut_down_it_listens(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_accept, "_SHUT_EVENTS", 0)  # as on Windows

    assert is_listening(listener)
