"""Report what a request has raised: how loudly depends on whose fault it is."""

from __future__ import annotations

import errno
import logging
import socket
from typing import Final

import trio

from trioserver._engine.hooks import ClientAddress, Request
from trioserver._exception_groups import leaves
from trioserver._exceptions import (
    ConnectionLostError,
    DescriptorsLostError,
    IncompleteReadError,
    LimitOverrunError,
    NamelessPeerError,
    RequestTimeoutError,
)
from trioserver._log import describe, escape, log
from trioserver._streams.connection import Connection
from trioserver._streams.hang_up import is_hung_up

# What a client can cause at will: one line, no traceback, or it could fill the disk.
# The first row that fits decides.
_LEVELS: Final[tuple[tuple[tuple[type[BaseException], ...], int], ...]] = (
    (
        (
            RequestTimeoutError,
            LimitOverrunError,
            IncompleteReadError,
            NamelessPeerError,
            DescriptorsLostError,
        ),
        logging.INFO,
    ),
    ((ConnectionLostError,), logging.DEBUG),
)

# tcp(7), ip(7): a peer that does not acknowledge any more, or cannot be reached. Python
# has no `ConnectionError` for these.
_UNREACHABLE: Final = frozenset(
    {errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENOTCONN}
)


def report_error(
    request: Request, client_address: ClientAddress, error: BaseException | None
) -> None:
    """Log *error*, which *request* from *client_address* has raised."""
    if error is None:
        return
    client = escape(client_address)
    level = level_of(request, error)
    if level < logging.ERROR:
        log(level, f"The request from {client} ended early: {describe(error)}")
    else:
        log(
            level,
            f"Exception occurred during processing of request from {client}",
            error=error,
        )


def level_of(request: Request, error: BaseException) -> int:
    """Return how loudly the log shall speak of *error*."""
    return max(_level(request, leaf) for leaf in leaves(error))


def _level(request: Request, error: BaseException) -> int:
    for kinds, level in _LEVELS:
        if isinstance(error, kinds):
            return level
    if isinstance(request, socket.socket):
        return _level_of_plain(request, error)
    if type(error) is trio.BrokenResourceError and not isinstance(request, Connection):
        # How other streams say it. Beside a `Connection` it is about something else,
        # of the handler's own: a database that is down must be heard of.
        return logging.DEBUG
    return logging.ERROR


def _level_of_plain(sock: socket.socket, error: BaseException) -> int:
    """Return the level of an error beside a plain *sock*, as threads have it.

    The errors of a database that is down look the same, and must be heard of.
    """
    if _is_loss(error) and is_hung_up(sock):
        return logging.DEBUG
    if isinstance(error, TimeoutError) and sock.gettimeout() is not None:
        # Only the system's own time-outs have an errno.
        return logging.INFO if error.errno is None else logging.ERROR
    return logging.ERROR


def _is_loss(error: BaseException) -> bool:
    """Whether *error* says that a connection is over."""
    if isinstance(error, ConnectionError):
        return True
    return isinstance(error, OSError) and error.errno in _UNREACHABLE
