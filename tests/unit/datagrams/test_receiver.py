"""Receiving from a scripted socket."""

from __future__ import annotations

import errno
import socket

import pytest
import trio

from kit.serving import LOOPBACK, STUCK
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


async def test_does_not_try_a_second_time_when_there_was_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[object] = []

    async def wait_readable(sock: object) -> None:
        waits.append(sock)
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(trio.lowlevel, "wait_readable", wait_readable)
    nothing = BlockingIOError(errno.EAGAIN, "nothing")
    scripted = ScriptedSocket([nothing, datagram(b"1"), datagram(b"2"), nothing])
    receiver = Receiver(as_socket(scripted))

    assert receiver.receive_nowait(100) is None
    assert (await receiver.receive(100)).data == b"1"
    assert waits == [scripted]
    assert (await receiver.receive(100)).data == b"2"
    assert receiver.receive_nowait(100) is None


async def test_a_cancelled_wait_has_received_nothing() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(LOOPBACK)
        receiver = Receiver(sock)
        with trio.move_on_after(0):
            await receiver.receive(100)
        with trio.move_on_after(0.01) as scope:
            await receiver.receive(100)
        assert scope.cancelled_caught

        sock.sendto(b"hello", sock.getsockname())
        with trio.fail_after(STUCK):
            assert (await receiver.receive(100)).data == b"hello"


WILDCARD = ("0.0.0.0", 9)  # noqa: S104  # nobody listens


async def test_asks_where_a_datagram_was_sent_to_if_that_can_vary() -> None:
    message = b"hello", [(0, 8, b"")], 0, PEER
    receiver = Receiver(as_socket(ScriptedSocket([message], address=WILDCARD)))

    assert await receiver.receive(100) == (b"hello", PEER, [(0, 8, b"")], False)


class WithoutMessages(ScriptedSocket):
    """As a socket is on Windows."""

    def __getattribute__(self, name: str) -> object:
        if name == "recvmsg":
            raise AttributeError(name)
        return super().__getattribute__(name)

    def recvfrom(self, max_bytes: int, _flags: int) -> object:
        assert max_bytes == 65536
        return self._play()


@pytest.mark.parametrize("address", [WILDCARD, PEER])
@pytest.mark.parametrize(
    ("data", "received"), [(b"abc", (b"abc", False)), (b"abcd", (b"abc", True))]
)
async def test_sees_it_without_flags_too(
    data: bytes, received: tuple[bytes, bool], address: object
) -> None:
    scripted = WithoutMessages([(data, PEER)], address=address)
    receiver = Receiver(as_socket(scripted))

    came = await receiver.receive(3)

    assert (came.data, came.is_truncated) == received
