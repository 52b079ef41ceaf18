"""Clients that send what no protocol knows."""

from __future__ import annotations

import array
import os
import random
import socket
from contextlib import suppress
from typing import Final

import trio

from soak.loads.connecting import connect, reset
from soak.processes import Value

# Some of what a random client begins with, so that it gets further than the first byte.
BEGINNINGS: Final = (
    b"",
    b"\n",
    b"\r\n\r\n",
    b"line\n",
    b"big\n",
    b"GET / HTTP/1.1\r\n",
    b"GET /" + b"a" * 70_000,
    b"POST / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: \x80\xff\r\n: \r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    b"\0" * 100,
    b"bye",
)


async def garble(address: Value, kind: str, count: int, seed: int) -> Value:
    """Be *count* clients that send garbage.

    Args:
        address: Of the server.
        kind: ``stream``, ``datagram`` or ``descriptors``.
        count: How many clients, one after the other.
        seed: The same garbage comes again with the same number.

    Returns:
        How many bytes were sent.
    """
    chance = random.Random(seed)  # noqa: S311  # to be repeated, not to be secret
    sent = 0
    for _ in range(count):
        is_datagram = kind == "datagram"
        sock = connect(
            address, socket.SOCK_DGRAM if is_datagram else socket.SOCK_STREAM
        )
        with suppress(OSError):
            for _ in range(chance.randrange(1, 8)):
                piece = _piece(chance)[: 9000 if is_datagram else None]
                if kind == "descriptors":
                    sent += _send_with_descriptors(sock, piece, chance)
                else:
                    sent += sock.send(piece)
                if chance.random() < 0.3:
                    await trio.lowlevel.checkpoint()
                    sock.recv(65536)
        if chance.random() < 0.5:
            reset(sock)
        else:
            sock.close()
        await trio.lowlevel.checkpoint()
    return sent


def _piece(chance: random.Random) -> bytes:
    piece = bytearray(chance.choice(BEGINNINGS))
    piece += chance.randbytes(chance.choice((0, 1, 7, 100, 3000)))
    for _ in range(chance.randrange(3)):
        if piece:
            piece[chance.randrange(len(piece))] = chance.randrange(256)
    return bytes(piece) or b"\n"


def _send_with_descriptors(
    sock: socket.socket, piece: bytes, chance: random.Random
) -> int:
    """Send none, some or too many, and some that are sockets themselves."""
    inside, outside = socket.socketpair()
    read, write = os.pipe()
    try:
        numbers = chance.choices(
            (inside.fileno(), outside.fileno(), read, write, sock.fileno()),
            k=chance.choice((0, 1, 2, 4, 5, 20, 253)),
        )
        item = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", numbers))
        return sock.sendmsg([piece], [item] if numbers else [])
    finally:
        inside.close()
        outside.close()
        os.close(read)
        os.close(write)
