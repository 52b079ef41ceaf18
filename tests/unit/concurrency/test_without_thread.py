"""Calling in Trio's thread what is written for a thread: nothing waits."""

from __future__ import annotations

import socket

import pytest

from trioserver._concurrency.without_thread import let_nothing_wait
from trioserver._datagrams.thread_socket import ThreadDatagram, ThreadDatagramSocket


def test_a_reply_to_a_datagram_does_not_wait_for_room() -> None:
    ours, theirs = socket.socketpair(type=socket.SOCK_DGRAM)
    with ours, theirs:
        answering = ThreadDatagramSocket.answering_from([], ours, is_truncated=False)
        request = ThreadDatagram(b"hello", answering)

        let_nothing_wait(request)

        with pytest.raises(BlockingIOError):
            fill(answering)
        request.close()


def fill(sock: socket.socket) -> None:
    """Send until there is no more room, and on."""
    while True:
        sock.send(b"x")


def test_what_is_no_socket_cannot_wait() -> None:
    let_nothing_wait("a line")
