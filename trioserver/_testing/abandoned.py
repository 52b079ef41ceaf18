"""Clear away what is left of a run that was given up."""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol, TypeGuard

import trio

from trioserver._servers.base import BaseServer


class RunGivenUp(BaseException):
    """Comes out of the clock of a run that is given up, and out of what blocks it."""


class Closable(Protocol):
    """A coroutine, as far as it matters here."""

    def close(self) -> object:
        """Run the ``finally`` clauses."""
        ...


def make_immortal(task: trio.lowlevel.Task) -> None:
    """Keep the coroutine of *task* for as long as the process lives, and longer.

    One that swallows whatever is raised in it would swallow the end of itself, too, and
    the interpreter would not come back from destroying it.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(task.coro))


def close_coroutines(coroutines: Iterable[Closable]) -> None:
    """Let each of *coroutines* run its ``finally`` clauses, outside of any run."""
    for coroutine in coroutines:
        # Many of them await something there, which nobody can do any more.
        with suppress(BaseException):
            coroutine.close()


def empty_nurseries(nurseries: Iterable[trio.Nursery]) -> None:
    """Let each of *nurseries* be destroyed in peace, at whatever time.

    Trio insists then that its tasks have ended. A thread that goes on keeps the task
    that waits for it, and so these, until it ends: in the midst of another run.
    """
    for nursery in nurseries:
        nursery._children.clear()  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001  # no other way


def close_listeners(servers: Iterable[BaseServer]) -> None:
    """Close the sockets of *servers*, which nobody else will do."""
    listeners = [getattr(server, "socket", None) for server in servers]
    for listener in filter(_is_socket, listeners):
        listener.close()


def _is_socket(listener: object) -> TypeGuard[socket.socket]:
    return isinstance(listener, socket.socket)
