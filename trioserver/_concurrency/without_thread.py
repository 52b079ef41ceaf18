"""Call hooks that are written for a request's thread in Trio's: there is none to have.

They block as they like, and nothing may wait in Trio's thread. So the client is given
up first.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from trioserver._concurrency.request_sockets import shut_down
from trioserver._datagrams.thread_socket import ThreadDatagram
from trioserver._engine.error_report import report_error
from trioserver._engine.hooks import ClientAddress, Request


def let_nothing_wait(request: object) -> None:
    """Let every call on *request*, which no thread has, return or fail at once.

    Unlike an `Interruption`, this needs no descriptor, and so it does not fail.
    """
    if isinstance(request, socket.socket):
        shut_down(request)
    elif isinstance(request, ThreadDatagram):
        request.socket.settimeout(0)


def handle_error_here(
    handle_error: Callable[[Request, ClientAddress], object],
    request: Request,
    client_address: ClientAddress,
    error: BaseException | None,
) -> None:
    """Call *handle_error*, and report *error* ourselves if that needs the client.

    What it raises ends the server, and here that would be our doing.

    Raises:
        BaseException: What *handle_error* raises on purpose.
    """
    try:
        handle_error(request, client_address)
    except OSError as raised:
        if raised is error:
            raise
        report_error(request, client_address, error)
