"""What clients may expect of a server that was told to stop, and what of no other."""

from __future__ import annotations

import math
import socket
from typing import Final

import trio

from trioserver._exception_groups import leaves
from trioserver._servers.base import BaseServer

# What clients run into once their server is gone: errors of sockets, ends of streams,
# and what they expected and did not get.
_LOST: Final = (
    OSError,
    EOFError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.TooSlowError,
    AssertionError,
)

# A Unix socket that was closed has no path any more.
_REFUSED: Final = (ConnectionRefusedError, FileNotFoundError)


def is_loss(error: BaseException) -> bool:
    """Whether *error* is nothing but what a client has that lost its server."""
    return all(isinstance(leaf, _LOST) for leaf in leaves(error))


def is_refusal(error: BaseException) -> bool:
    """Whether *error* is nothing but connections that were refused."""
    return all(_is_refused(leaf) for leaf in leaves(error))


def _is_refused(error: BaseException) -> bool:
    if isinstance(error, _REFUSED):
        return True
    # trio.open_tcp_stream() tells its attempts as the cause.
    cause = error.__cause__ if type(error) is OSError else None
    return cause is not None and is_refusal(cause)


def promises_replies(server: BaseServer) -> bool:
    """Whether *server*, told to stop, answers all that was accepted before.

    A stream server does, unless its settings say how long; a datagram that was not
    received yet is lost, and nobody can tell it from one that was. Child processes are
    waited for or ended, and never left alone.
    """
    return (
        getattr(server, "socket_type", None) == socket.SOCK_STREAM
        and not server._cancels_on_close()  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001  # what its flags come to
        and server.drain_timeout == math.inf
    )
