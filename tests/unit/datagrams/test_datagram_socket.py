"""What a handler gets as the second half of its request."""

from __future__ import annotations

import socket

import pytest

from trioserver._datagrams.datagram_socket import DatagramSocket
from trioserver._datagrams.receiver import Datagram
from trioserver._datagrams.replies import Replies
from unit.datagrams.scripted import PEER, Outcome, ScriptedSocket, as_socket


def made(*outcomes: Outcome) -> tuple[DatagramSocket, ScriptedSocket]:
    scripted = ScriptedSocket(outcomes)
    datagram = Datagram(b"data", PEER, [], is_truncated=True)
    return DatagramSocket(datagram, Replies(as_socket(scripted))), scripted


async def test_sends_with_and_without_flags() -> None:
    sock, scripted = made(2, 2)

    assert await sock.sendto(b"no", PEER) == 2
    assert await sock.sendto(b"ok", socket.MSG_DONTROUTE, PEER) == 2

    assert scripted.sent == [(b"no", 0, PEER), (b"ok", socket.MSG_DONTROUTE, PEER)]


@pytest.mark.parametrize("arguments", [(), ("flags", PEER), (0, PEER, PEER)])
async def test_refuses_other_arguments(arguments: tuple[object, ...]) -> None:
    sock, _ = made()

    with pytest.raises(TypeError, match="an address"):
        await sock.sendto(b"data", *arguments)


def test_tells_what_the_socket_knows() -> None:
    sock, scripted = made()

    assert (sock.fileno(), sock.getsockname()) == (99, scripted.address)
    assert sock.is_truncated
    assert sock.local_host is None
    assert repr(sock) == f"<DatagramSocket {scripted!r}>"
