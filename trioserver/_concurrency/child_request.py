"""What a child keeps of all sockets: those of its request; and how it uses them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import trio

from trioserver._concurrency.request_sockets import make_blocking
from trioserver._datagrams.datagram_socket import DatagramSocket
from trioserver._datagrams.thread_socket import ThreadDatagram
from trioserver._engine.hooks import Request
from trioserver._streams.connection import Connection

# Where streams keep what they are made of.
_PARTS: Final = ("socket", "transport_stream", "send_stream", "receive_stream")


def descriptors_of(request: Request) -> Iterator[int]:
    """Yield the number of each descriptor that *request* has."""
    match request:
        case (_data, reply):
            yield from descriptors_of(reply)
        case _:
            if hasattr(request, "fileno"):
                yield request.fileno()
            for name in _PARTS:
                if hasattr(request, name):
                    yield from descriptors_of(getattr(request, name))


def for_asynchronous_handler(request: Request) -> Request:
    """Return *request* for another Trio run, in a forked child."""
    match request:
        case (_data, DatagramSocket() as reply):
            # Those who wait to send are the parent's.
            reply.forget_waiters()
        case _:
            pass
    return request


def for_synchronous_handler(request: Request) -> Request:
    """Return *request* as socketserver has it: a real socket, and one that blocks.

    Only in a forked child: the parent must not use the connection any more.

    Raises:
        TypeError: If it is a stream that only Trio can use.
    """
    match request:
        case Connection():
            return make_blocking(request.socket)
        case (data, DatagramSocket() as reply):
            return ThreadDatagram(data, reply.for_thread())
        case trio.abc.AsyncResource():
            message = (
                f"a synchronous handler needs a socket, and get_request() has returned "
                f"{request!r}: write the handler as an 'async def'"
            )
            raise TypeError(message)
        case _:
            return request
