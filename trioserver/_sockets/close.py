"""Close a socket, whatever the system says about that."""

from __future__ import annotations

import logging
import socket

from trioserver._log import describe, log


def close_socket(sock: socket.socket) -> None:
    """Close *sock*, and log what close(2) says.

    The descriptor is gone all the same. EIO and EINTR tell of something that nobody
    can act on here, and EBADF of somebody who has closed it before; none of them may
    take the place of the error that is on its way, or end a server that has done its
    work.
    """
    try:
        sock.close()
    except OSError as error:
        log(logging.DEBUG, f"Closing a socket said {describe(error)}")
