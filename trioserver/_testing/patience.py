"""Wait as an operation would, before it is known whether it fails."""

from __future__ import annotations

import select
import socket

from trioserver._testing.fault import RECEIVING, SENDING


def is_ready(operation: str, sock: socket.socket) -> bool:
    """Whether *operation* on *sock* need not wait.

    What may block is waited for, as long as it would wait itself.

    Raises:
        TimeoutError: The timeout of *sock* has passed.
    """
    poll = select.poll()
    if operation in RECEIVING:
        poll.register(sock, select.POLLIN)
    elif operation in SENDING:
        poll.register(sock, select.POLLOUT)
    else:
        return True
    timeout = sock.gettimeout()
    if poll.poll(None if timeout is None else timeout * 1000):
        return True
    if timeout:
        raise TimeoutError("timed out")  # noqa: EM101  # as the socket says it
    return False
