"""Let one operation on a socket fail: the n-th of a server's tasks."""

from __future__ import annotations

import errno
import inspect
import os
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

import attrs

from trioserver._testing.errnos import (
    BREAKS_SOCKET,
    ENDS_CONNECTION,
    GONE,
    TRANSFERS_PART,
    Role,
    errnos_of,
    role_of,
)
from trioserver._testing.socket_calls import Operation, tell_again

SHORT: Final = "less than asked for"
"""In the place of an errno's name: one byte is transferred."""

# How often in a row EAGAIN is said.
_STORM: Final = 3

# What has to be ready before an operation can succeed.
_READY: Final = {
    "accept": select.POLLIN,
    "recv": select.POLLIN,
    "recv_into": select.POLLIN,
    "recvfrom": select.POLLIN,
    "recvmsg": select.POLLIN,
    "send": select.POLLOUT,
    "sendmsg": select.POLLOUT,
    "sendto": select.POLLOUT,
}

# What has its number of bytes, or its buffers, in front.
_COUNTED: Final = frozenset({"recv", "recvmsg"})
_BUFFERS: Final = frozenset({"sendmsg"})


@attrs.frozen
class Fault:
    """One failure of one operation."""

    operation: str
    """A method of `socket.socket`, or what is done to an epoll."""

    failure: str
    """The name of an errno, or `SHORT`."""

    role: Role | None = None
    """What the socket was for; None for an epoll."""

    where: str = ""
    """The line that called it."""

    def __str__(self) -> str:
        """Say what failed, and where."""
        on = "" if self.role is None else f" of {self.role.value}"
        return f"{self.operation}() {self.failure}{on}, at {self.where}"

    @property
    def breaks_socket(self) -> bool:
        """Whether from now on nothing works any more on the same socket."""
        if self.failure == "EINVAL":
            return _READY.get(self.operation) == select.POLLIN
        return self.failure in GONE

    @property
    def ends_connection(self) -> bool:
        """Whether the connection is over, if it is one."""
        return self.role is Role.STREAM and self.failure in ENDS_CONNECTION

    def error(self) -> OSError:
        """Return what is raised."""
        return os_error(self.failure)


def os_error(name: str) -> OSError:
    """Return the error of the errno *name*, of the class that Python has for it."""
    number = getattr(errno, name)
    return OSError(number, os.strerror(number))


@attrs.define(eq=False)
class FaultInjector:
    """Counts the operations that are watched, and lets one of them fail."""

    watches: Callable[[], bool]
    """Whether the running code is the server's."""

    at_call: int = 0
    """The number of the operation to fail, from 1; 0 for none."""

    choice: int = 0
    """Which of the failures that it can have."""

    calls: list[list[Fault]] = attrs.field(factory=list)
    """The operations so far, each as all the failures that it can have."""

    fault: Fault | None = None
    """What was made to fail."""

    _storm: int = 0
    _victim: socket.socket | None = None
    _broken: WeakKeyDictionary[socket.socket, str] = attrs.field(
        factory=WeakKeyDictionary
    )

    def __call__(
        self,
        operation: str,
        sock: socket.socket | None,
        original: Operation,
        arguments: tuple[object, ...],
    ) -> object:
        """Do the operation, or let it fail."""
        bound = arguments if sock is None else (sock, *arguments)
        if sock is not None and sock in self._broken:
            return self._refuse(operation, sock, original, bound)
        if not self._counts(operation, sock):
            return original(*bound)
        if self._goes_on(operation, sock):
            raise os_error("EAGAIN")
        possible = self._possible(operation, sock, arguments)
        self.calls.append(possible)
        if len(self.calls) != self.at_call or self.choice >= len(possible):
            return original(*bound)
        self.fault = possible[self.choice]
        return self._strike(self.fault, sock, original, arguments)

    def _counts(self, operation: str, sock: socket.socket | None) -> bool:
        """Whether this is the server's, and would succeed."""
        if not self.watches():
            return False
        if sock is None or operation == "__init__":
            return True
        return sock.fileno() != -1 and _is_ready(sock, _READY.get(operation, 0))

    def _possible(
        self, operation: str, sock: socket.socket | None, arguments: tuple[object, ...]
    ) -> list[Fault]:
        is_new = sock is None or operation == "__init__"
        role = None if is_new or sock is None else role_of(sock)
        failures = list(errnos_of(operation, role))
        if role is Role.STREAM and _divisible(operation, arguments):
            failures.append(SHORT)
        where = _caller()
        return [Fault(operation, failure, role, where) for failure in failures]

    def _goes_on(self, operation: str, sock: socket.socket | None) -> bool:
        """Whether an EAGAIN is said once more."""
        fault = self.fault
        if self._storm == 0 or fault is None:
            return False
        if fault.operation != operation or self._victim is not sock:
            return False
        self._storm -= 1
        return True

    def _refuse(
        self,
        operation: str,
        sock: socket.socket,
        original: Operation,
        bound: tuple[object, ...],
    ) -> object:
        """Fail, since *sock* was broken before; a close closes what is really there."""
        if operation == "close":
            was_open = sock.fileno() != -1
            original(*bound)
            if not was_open:
                return None
        raise os_error(self._broken[sock])

    def _strike(
        self,
        fault: Fault,
        sock: socket.socket | None,
        original: Operation,
        arguments: tuple[object, ...],
    ) -> object:
        if fault.failure == SHORT and sock is not None:
            result = original(sock, *_shortened(fault.operation, arguments))
            # The rest comes later, and with an edge of its own: see epoll(7).
            tell_again(sock)
            return result
        if sock is not None:
            if fault.operation == "close":
                # close(2), NOTES: Linux always releases the descriptor first.
                original(sock, *arguments)
            elif fault.ends_connection:
                _end(sock)
            elif fault.breaks_socket:
                self._broken[sock] = fault.failure
            self._victim = sock
        if fault.failure == "EAGAIN":
            self._storm = _STORM - 1
        raise fault.error()


def _is_ready(sock: socket.socket, event: int) -> bool:
    """Whether an operation on *sock* that needs *event* need not wait."""
    if event == 0:
        return True
    poll = select.poll()
    poll.register(sock, event)
    return bool(poll.poll(0))


def _end(sock: socket.socket) -> None:
    """Let the kernel know that the connection is over."""
    try:
        super(socket.socket, sock).shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it never was one


def _divisible(operation: str, arguments: tuple[object, ...]) -> bool:
    """Whether the operation can transfer less than it is asked for."""
    if operation not in TRANSFERS_PART:
        return False
    match arguments[0]:
        case int(count):
            return count > 1
        case list(buffers):
            return sum(map(len, buffers)) > 1
        case bytes() | bytearray() | memoryview() as data:
            return len(data) > 1
        case _:
            return False


def _shortened(operation: str, arguments: tuple[object, ...]) -> tuple[object, ...]:
    """Return *arguments* that transfer one byte."""
    match arguments[0]:
        case int():
            return (1, *arguments[1:])
        case list(buffers):
            return ([b"".join(buffers)[:1]], *arguments[1:])
        case bytes() | bytearray() | memoryview() as data:
            return (memoryview(data)[:1], *arguments[1:])
        case _:
            return arguments


def _caller() -> str:
    """Return the line that has called the operation, outside of this package."""
    frame = inspect.currentframe()
    here = str(Path(__file__).parent)
    while frame is not None and frame.f_code.co_filename.startswith(here):
        frame = frame.f_back
    if frame is None:
        return "?"
    path = Path(frame.f_code.co_filename)
    return f"{path.parent.name}/{path.name}:{frame.f_lineno}"
