"""Whether other processes may have a listening socket open, too."""

from __future__ import annotations

import os
import socket

from trioserver._sockets.server_socket import ServerSocket
from trioserver._waiting import SelfWaiting


def may_be_shared(sock: socket.socket) -> bool:
    """Whether anybody else may accept from *sock*, which this process has made.

    A worker that was forked, for example, or a successor that was started with it.
    Nobody can ask the system; but who got it without a trace in this process is its
    child, as long as it lives. All are suspects, whatever they were started for.
    """
    if isinstance(sock, SelfWaiting):
        return False
    is_copied = isinstance(sock, ServerSocket) and sock.is_copied
    return is_copied or sock.get_inheritable() or _has_children()


def _has_children() -> bool:
    """Whether this process has children, dead ones included that wait to be reaped."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    except AttributeError:  # a system that has no such call
        return True
    return True
