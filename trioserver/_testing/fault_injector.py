"""Let one operation on a socket fail: the n-th of the tasks that are watched."""

from __future__ import annotations

import os
import select
import socket
import traceback
from itertools import takewhile
from pathlib import Path
from types import CodeType, FrameType
from typing import Final, final
from weakref import WeakKeyDictionary

import attrs
import trio

from trioserver._exceptions import ListenerBrokenError
from trioserver._testing.errnos import Role, errnos_of, role_of
from trioserver._testing.fault import RECEIVING, SENDING, SHORT, Fault, os_error
from trioserver._testing.origins import is_kits, is_librarys, is_trios
from trioserver._testing.short_transfers import can_be_short, shortened
from trioserver._testing.socket_calls import Operation, tell_again
from trioserver._testing.trial import Trial

# The function of Trio's that runs the tasks.
_RUN_LOOP: Final = "unrolled_run"

# How often in a row EAGAIN is said.
_STORM: Final = 3


@final
@attrs.define(eq=False)
class FaultInjector(trio.abc.Instrument):
    """Counts the failures that operations can have, and lets one of them happen.

    It counts operations that would succeed: Linux tells of an error where it would tell
    of data. So an injected one never stands where a program has to wait.
    """

    at_moment: int
    """The number of the failure, from 1; 0 for none."""
    operations: frozenset[str] | None = None
    """What may fail; None: everything."""
    moments: int = attrs.field(default=0, init=False)
    """How many failures there could have been so far."""
    fault: Fault | None = attrs.field(default=None, init=False)
    """What was made to happen."""
    trial: Trial = attrs.field(init=False)
    _pid: int = attrs.field(factory=os.getpid, init=False)
    _tasks: set[trio.lowlevel.Task] = attrs.field(
        factory=set[trio.lowlevel.Task], init=False
    )
    _ends_server: bool = attrs.field(default=False, init=False)
    _storm: int = attrs.field(default=0, init=False)
    _victim: socket.socket | None = attrs.field(default=None, init=False)
    _broken: WeakKeyDictionary[socket.socket, str] = attrs.field(
        factory=WeakKeyDictionary[socket.socket, str], init=False
    )

    def __attrs_post_init__(self) -> None:
        self.trial = Trial(self._tasks)

    # As a search wants it

    @property
    def instruments(self) -> list[trio.abc.Instrument]:
        """What has to watch the run: itself."""
        return [self]

    @property
    def place(self) -> str:
        """What was made to happen, in words."""
        return str(self.fault or "")

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """Watch what watched tasks start."""
        nursery = task.parent_nursery
        if nursery is not None and nursery.parent_task in self._tasks:
            self._tasks.add(task)

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """Forget a task."""
        self._tasks.discard(task)

    def after_run(self) -> None:
        """Note if a server has gone on although its socket was broken."""
        if (
            self._ends_server
            and ListenerBrokenError not in self.trial.harm.server_errors
        ):
            self.trial.problems.append("the server goes on with a broken socket")

    # What is done to operations

    def intercept(
        self,
        operation: str,
        sock: socket.socket | None,
        original: Operation,
        arguments: tuple[object, ...],
    ) -> object:
        """Do the operation, or let it fail."""
        bound = arguments if sock is None else (sock, *arguments)
        if os.getpid() != self._pid:
            return original(*bound)  # in a child, whose failures nobody here would see
        if sock is not None and sock in self._broken:
            return self._refuse(operation, sock, original, bound)
        if not self._counts(operation, sock):
            return original(*bound)
        if self.fault is not None and self._goes_on(self.fault, operation, sock):
            raise self.fault.error()
        fault = self._next_fault(operation, sock, arguments)
        if fault is None:
            return original(*bound)
        self._note(fault, sock)
        return self._strike(fault, sock, original, arguments)

    def _counts(self, operation: str, sock: socket.socket | None) -> bool:
        """Whether this is the server's, may fail, and would succeed."""
        if self.trial.harm.is_probing or not _current_task() & self._tasks:
            return False
        if self.operations is not None and operation not in self.operations:
            return False
        if sock is None or operation == "__init__":
            return True
        return sock.fileno() != -1 and _is_ready(operation, sock)

    def _next_fault(
        self, operation: str, sock: socket.socket | None, arguments: tuple[object, ...]
    ) -> Fault | None:
        """Count what can happen to this operation. Return what shall."""
        is_new = sock is None or operation == "__init__"
        role = None if is_new or sock is None else role_of(sock)
        failures = list(errnos_of(operation, role))
        if role is Role.STREAM and can_be_short(operation, arguments):
            failures.append(SHORT)
        choice = self.at_moment - self.moments - 1
        self.moments += len(failures)
        if not 0 <= choice < len(failures):
            return None
        return Fault(operation, failures[choice], role, _caller())

    def _note(self, fault: Fault, sock: socket.socket | None) -> None:
        """Say what happens, and what may follow."""
        self.fault = fault
        self._victim = sock
        raises: tuple[type[BaseException], ...] = ()
        if self.trial.is_whole:
            raises = (OSError,)  # a server that is being made cannot go on
        elif fault.breaks_server:
            raises = (ListenerBrokenError,)
        self._ends_server = (
            fault.breaks_server
            and not self.trial.harm.is_stopping
            and fault.operation in RECEIVING
        )
        self.trial.harm.max_harmed = fault.max_harmed
        if fault.breaks_server:
            self.trial.harm.probe = None
        self.trial.note_injection(is_graceful=False, raises=raises)

    def _goes_on(
        self, fault: Fault, operation: str, sock: socket.socket | None
    ) -> bool:
        """Whether *fault*, an EAGAIN, is said once more."""
        if self._storm and fault.operation == operation and self._victim is sock:
            self._storm -= 1
            return True
        return False

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
        if sock is not None:
            if fault.failure == SHORT:
                result = original(sock, *shortened(arguments))
                # The rest comes later, and with an edge of its own: see epoll(7).
                tell_again(sock)
                return result
            if fault.operation == "close":
                # close(2), NOTES: Linux always releases the descriptor first.
                original(sock, *arguments)
            elif fault.ends_connection:
                _end(sock)
            elif fault.breaks_socket:
                self._broken[sock] = fault.failure
        if fault.failure == "EAGAIN":
            self._storm = _STORM - 1
        raise fault.error()


def _current_task() -> set[trio.lowlevel.Task]:
    """Return the running task, if one runs: not in a thread, or between tasks."""
    try:
        return {trio.lowlevel.current_task()}
    except RuntimeError:
        return set()


def _is_ready(operation: str, sock: socket.socket) -> bool:
    """Whether *operation* on *sock* need not wait."""
    poll = select.poll()
    if operation in RECEIVING:
        poll.register(sock, select.POLLIN)
    elif operation in SENDING:
        poll.register(sock, select.POLLOUT)
    else:
        return True
    return bool(poll.poll(0))


def _end(sock: socket.socket) -> None:
    """Let the kernel know that the connection is over."""
    try:
        super(socket.socket, sock).shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it never was one


def _caller() -> str:
    """Return the line that has called the operation, outside of this and of Trio.

    If that is the library's, the line of somebody else's that has called it, too.
    """
    told = [
        (frame.f_code, line)
        for frame, line in takewhile(_is_inside, traceback.walk_stack(None))
        if not (is_kits(frame.f_code) or is_trios(frame.f_code))
    ]
    others = [(code, line) for code, line in told if not is_librarys(code)]
    nearest = dict.fromkeys([*told[:1], *others[:1]])
    return ", for ".join(_place(code, line) for code, line in nearest)


def _is_inside(entry: tuple[FrameType, int]) -> bool:
    """Whether a frame is the task's: Trio's loop is called by what has called it."""
    code = entry[0].f_code
    return not (is_trios(code) and code.co_name == _RUN_LOOP)


def _place(code: CodeType, line: int) -> str:
    path = Path(code.co_filename)
    return f"{path.parent.name}/{path.name}:{line}"
