"""Let one operation on a socket fail: the n-th of the tasks that are watched."""

from __future__ import annotations

import os
import socket
from typing import Final, final
from weakref import WeakKeyDictionary

import attrs
import trio

from trioserver._datagrams.thread_socket import ThreadDatagramSocket
from trioserver._exceptions import ListenerBrokenError
from trioserver._servers.base import BaseServer
from trioserver._testing.abandoned import close_listeners
from trioserver._testing.caller import caller, is_trios_own
from trioserver._testing.dispatches import Dispatches
from trioserver._testing.errnos import Role, errnos_of, role_of
from trioserver._testing.fault import RECEIVING, SHORT, Fault, os_error
from trioserver._testing.lane import Lane
from trioserver._testing.memory_socket import MemorySocket
from trioserver._testing.patience import is_ready
from trioserver._testing.short_transfers import can_be_short, shortened
from trioserver._testing.socket_calls import Operation, tell_again
from trioserver._testing.trial import Trial
from trioserver._testing.watch import Count, count_of_work, current_lane, is_watching

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
    dispatches: Dispatches
    """Brings word from threads and children."""
    operations: frozenset[str] | None = None
    """What may fail; None: everything."""
    lane: Lane = Lane.TRIO
    """Where it may fail."""
    fault: Fault | None = attrs.field(default=None, init=False)
    """What was made to happen."""
    trial: Trial = attrs.field(factory=Trial, init=False)
    _own_count: Count = attrs.field(init=False)
    _pid: int = attrs.field(factory=os.getpid, init=False)
    _ends_server: bool = attrs.field(default=False, init=False)
    _storm: int = attrs.field(default=0, init=False)
    _victim: socket.socket | None = attrs.field(default=None, init=False)
    _broken: WeakKeyDictionary[socket.socket, str] = attrs.field(
        factory=WeakKeyDictionary[socket.socket, str], init=False
    )

    def __attrs_post_init__(self) -> None:
        self._own_count = Count(self.trial)
        self.trial.listen = self.listen
        self.trial.check_moved = _refuse_memory
        self.dispatches.start_anew()

    # As a search wants it

    @property
    def instruments(self) -> list[trio.abc.Instrument]:
        """What has to watch the run: itself."""
        return [self]

    @property
    def moments(self) -> int:
        """How many failures there could have been so far."""
        is_here = self.lane is Lane.TRIO
        return self._own_count.moments if is_here else self.dispatches.most

    @property
    def place(self) -> str:
        """What was made to happen, in words."""
        return str(self.fault or "")

    def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002  # as Trio calls it
        """Listen: what a thread or a child does may have woken Trio."""
        self.listen()

    def after_run(self) -> None:
        """Note if a server has gone on although its socket was broken."""
        self.dispatches.withdraw()
        self.listen()
        if (
            self._ends_server
            and ListenerBrokenError not in self.trial.harm.server_errors
        ):
            self.trial.problems.append("the server goes on with a broken socket")

    def finish(self) -> None:
        """Let go of all that the run has."""
        self._victim = None
        self._broken.clear()
        self.trial.forget()

    # What comes from threads and children

    def listen(self) -> None:
        """Take note of what they have told, in Trio's thread."""
        for news in self.dispatches.receive():
            if isinstance(news, Fault):
                self.fault = news
                self._expect(news)
            else:
                self.trial.problems.append(news)

    def note_problem(self, problem: str) -> None:
        """Take note of what is wrong, wherever that was found."""
        if os.getpid() == self._pid:
            self.trial.problems.append(problem)
        else:
            self.dispatches.send(problem)

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
        if sock is not None and sock in self._broken and self._is_told():
            return self._refuse(operation, sock, original, bound)
        if not self._counts(operation, sock):
            return original(*bound)
        if self.fault is not None and self._goes_on(self.fault, operation, sock):
            raise self.fault.error()
        fault = self._next_fault(operation, sock, arguments)
        if fault is None:
            return original(*bound)
        self._announce(fault, sock)
        return self._strike(fault, sock, original, arguments)

    def _counts(self, operation: str, sock: socket.socket | None) -> bool:
        """Whether this is the server's, may fail, and would succeed.

        Raises:
            TimeoutError: It would neither fail nor succeed.
        """
        if self.trial.harm.is_probing or not is_watching(self.trial):
            return False
        if current_lane(self._pid) is not self.lane:
            return False
        if not self._may_fail(operation):
            return False
        if sock is None or operation == "__init__":
            return True
        is_ours = sock.fileno() != -1 and not is_trios_own()
        return is_ours and is_ready(operation, sock)

    def _may_fail(self, operation: str) -> bool:
        return self.operations is None or operation in self.operations

    def _next_fault(
        self, operation: str, sock: socket.socket | None, arguments: tuple[object, ...]
    ) -> Fault | None:
        """Count what can happen to this operation. Return what shall."""
        is_new = sock is None or operation == "__init__"
        role = None if is_new or sock is None else role_of(sock)
        failures = list(errnos_of(operation, role))
        if sock is not None and sock.gettimeout() != 0 and "EAGAIN" in failures:
            failures.remove("EAGAIN")  # who waits is never told
        if role is Role.STREAM and can_be_short(operation, arguments):
            failures.append(SHORT)
        choice = self.at_moment - self._count(len(failures)) - 1
        if not 0 <= choice < len(failures):
            return None
        if self.lane is not Lane.TRIO and not self.dispatches.claim():
            return None
        is_servers = _is_servers(sock, role, self.lane)
        return Fault(operation, failures[choice], role, caller(), self.lane, is_servers)

    def _count(self, failures: int) -> int:
        """Count so many *failures*. Return how many there were before."""
        # What this process has counted, a child begins with: nothing, in its lane.
        is_thread = self.lane is Lane.THREAD
        count = count_of_work(self.trial) if is_thread else self._own_count
        count.moments += failures
        if self.lane is not Lane.TRIO:
            self.dispatches.count(count.moments)
        return count.moments - failures

    def _announce(self, fault: Fault, sock: socket.socket | None) -> None:
        """Say what is about to happen."""
        self.fault = fault
        self._victim = sock
        if self.lane is Lane.TRIO:
            self._expect(fault)
        else:
            self.dispatches.send(fault)

    def _expect(self, fault: Fault) -> None:
        """Note what may follow."""
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

    def _is_told(self) -> bool:
        """Whether it would be known of what fails here: not in a child of another's."""
        return self.lane is Lane.CHILD or os.getpid() == self._pid

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
            if not was_open or not self._may_fail("close"):
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


def _refuse_memory(server: BaseServer) -> None:
    """Refuse a server that calls no socket of the system's: none could fail.

    Raises:
        NotImplementedError: If its socket is one of a `MemoryNetwork`.
    """
    if isinstance(getattr(server, "socket", None), MemorySocket):
        close_listeners([server])
        message = (
            "fail_everywhere() cannot let a socket of a MemoryNetwork fail: serve on "
            "the real network instead, on a free port of 127.0.0.1: leave the network "
            'out, and give the server the address ("127.0.0.1", 0)'
        )
        raise NotImplementedError(message)


def _is_servers(sock: socket.socket | None, role: Role | None, lane: Lane) -> bool:
    """Whether *sock* is the server's own, and not one of a single request.

    For datagrams, threads and children have duplicates of it. Only the threads of
    socketserver's have the socket itself.
    """
    if role is Role.STREAM or lane is Lane.CHILD:
        return False
    return not isinstance(sock, ThreadDatagramSocket)


def _end(sock: socket.socket) -> None:
    """Let the kernel know that the connection is over."""
    try:
        super(socket.socket, sock).shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it never was one
