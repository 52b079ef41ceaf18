"""Receiving from a scripted socket."""

from __future__ import annotations

import errno
import socket

import pytest
import trio

from trioserver._datagrams.receiver import Receiver
from unit.datagrams.scripted import PEER, ScriptedSocket, as_socket, datagram


async def test_returns_what_came_and_who_has_sent_it() -> None:
    receiver = Receiver(as_socket(ScriptedSocket([datagram(b"hello")])))

    received = await receiver.receive(100)

    assert received == (b"hello", PEER, [], False)


async def test_sees_that_a_datagram_was_cut() -> None:
    cut = datagram(b"hel", flags=int(socket.MSG_TRUNC))
    receiver = Receiver(as_socket(ScriptedSocket([cut])))

    assert (await receiver.receive(3)).is_truncated


async def test_passes_an_error_on_and_receives_the_next() -> None:
    gone = ConnectionRefusedError(errno.ECONNREFUSED, "gone")
    receiver = Receiver(as_socket(ScriptedSocket([gone, datagram()])))

    with pytest.raises(ConnectionRefusedError):
        await receiver.receive(100)
    assert (await receiver.receive(100)).data == b"hello"


async def test_receives_nothing_when_it_is_cancelled() -> None:
    scripted = ScriptedSocket([datagram()])
    receiver = Receiver(as_socket(scripted))

    with trio.CancelScope() as scope:
        scope.cancel()
        await receiver.receive(100)

    assert scope.cancelled_caught
    assert len(scripted.outcomes) == 1


def test_refuses_a_socket_without_an_address() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        with pytest.raises(OSError, match="not bound") as caught:
            Receiver(sock)

    assert caught.value.errno == errno.EINVAL


class WithoutMessages(ScriptedSocket):
    """As a socket is on Windows."""

    def __getattribute__(self, name: str) -> object:
        if name == "recvmsg":
            raise AttributeError(name)
        return super().__getattribute__(name)

    def recvfrom(self, max_bytes: int) -> object:
        assert max_bytes == 65536
        return self._play()


@pytest.mark.parametrize(
    ("data", "received"), [(b"abc", (b"abc", False)), (b"abcd", (b"abc", True))]
)
async def test_sees_it_without_flags_too(
    data: bytes, received: tuple[bytes, bool]
) -> None:
    receiver = Receiver(as_socket(WithoutMessages([(data, PEER)])))

    came = await receiver.receive(3)

    assert (came.data, came.is_truncated) == received
