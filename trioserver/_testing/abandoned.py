"""Clear away what is left of a run that was given up."""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Iterable
from contextlib import suppress
from types import CoroutineType

import trio

from trioserver._servers.base import BaseServer


def make_immortal(task: trio.lowlevel.Task) -> None:
    """Keep the coroutine of *task* for as long as the process lives, and longer.

    One that swallows whatever is raised in it would swallow the end of itself, too, and
    the interpreter would not come back from destroying it.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(task.coro))


def close_coroutines(coroutines: Iterable[object]) -> None:
    """Let each of *coroutines* run its ``finally`` clauses, outside of any run."""
    for coroutine in coroutines:
        if isinstance(coroutine, CoroutineType):
            # Many of them await something there, which nobody can do any more.
            with suppress(BaseException):
                coroutine.close()


def close_listeners(servers: Iterable[BaseServer]) -> None:
    """Close the sockets of *servers*, which nobody else will do."""
    for server in servers:
        listener = getattr(server, "socket", None)
        if isinstance(listener, socket.socket):
            listener.close()
