"""Close a request that nobody else will close."""

from __future__ import annotations

import logging
import socket

import trio

from trioserver._datagrams.thread_socket import ThreadDatagram
from trioserver._engine.hooks import Request
from trioserver._log import describe, log
from trioserver._streams.connection import Connection


async def close_forcefully(request: Request) -> None:
    """Close *request* without waiting for anything, if it is something to close.

    Like `trio.aclose_forcefully`, but it cannot fail, and a cancelled task may call it.
    """
    if isinstance(request, Connection):
        request.close()
        return
    if not isinstance(request, trio.abc.AsyncResource):
        close_socket(request)
        return
    try:
        with trio.CancelScope(shield=True) as scope:
            scope.cancel()
            await request.aclose()
    except Exception as error:
        _log_failure(error)


def close_socket(request: Request) -> None:
    """Close *request* as `close_forcefully` does, if it is a socket for a thread."""
    if not isinstance(request, socket.socket | ThreadDatagram):
        return
    try:
        request.close()
    except OSError as error:
        _log_failure(error)


def _log_failure(error: Exception) -> None:
    log(logging.DEBUG, f"Closing a request by force said {describe(error)}")
