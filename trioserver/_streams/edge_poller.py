"""One epoll for all connections of a server, nested in Trio's own.

Trio registers a descriptor anew for each wait: a system call for every wait, and its
own bookkeeping for every descriptor that is ready. Here a connection is registered
once, edge-triggered, and one task waits for all of them; when it wakes, it asks for
everything that is ready and wakes the tasks that wait for it. Measured with 100
connections that echo: half the processor time for a request.

Linux only; `trioserver._streams.readiness` has the portable way.
"""

from __future__ import annotations

import logging
import select
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, final

import trio

from trioserver._exception_groups import un_nested
from trioserver._log import describe, log
from trioserver._open_descriptors import note_open
from trioserver._streams.readiness import TrioReadiness
from trioserver._streams.server_epoll import open_epoll, wait_for_events

HAS_EPOLL: Final = hasattr(select, "epoll")

# The events of Linux, 0 elsewhere: this module can be imported on every system.
_IN, _OUT, _RDHUP, _HUP, _ERR, _PRI, _ET = (
    getattr(select, f"EPOLL{event}", 0)
    for event in ("IN", "OUT", "RDHUP", "HUP", "ERR", "PRI", "ET")
)

# Edges are told once. RDHUP, because an end-of-file that comes with the last data has
# no edge of its own. PRI, because a read stops before urgent data, with less than it
# asked for, although more has come (tcp(7)).
_READ: Final = _IN | _RDHUP | _PRI | _ET
_READ_WRITE: Final = _READ | _OUT

# After these, every read returns at once, and no edge tells so again.
_ENDED: Final = _RDHUP | _HUP | _ERR

_READABLE: Final = _IN | _ENDED
_WRITABLE: Final = _OUT | _HUP | _ERR

# Events taken in one call; what is left comes with the next.
_MAX_EVENTS: Final = 256

_NOT_REGISTERED: Final = -1

_INET_FAMILIES: Final = frozenset({socket.AF_INET, socket.AF_INET6})


@final
class EdgePoller:
    """Waits for the sockets of many connections at once.

    While a block of `running` runs, its connections wait here. Before and after, they
    wait as Trio does, one by one: nobody has to know whether it runs.
    """

    __slots__ = ("__weakref__", "_caller", "_calls", "_epoll", "_registered")

    def __init__(self) -> None:
        self._epoll: select.epoll | None = None
        self._calls: list[Callable[[], None]] = []
        # Who makes these calls, while it waits for one.
        self._caller: trio.lowlevel.Task | None = None
        self._registered: dict[int, EdgeReadiness] = {}

    @asynccontextmanager
    @trio.lowlevel.enable_ki_protection
    async def running(self) -> AsyncGenerator[None]:
        """Wake the tasks of this poller's connections while the block runs.

        Cancellation:
            Connections can be waited for until the block has ended.
        """
        epoll = open_epoll()
        if epoll is None:
            yield
            return
        with epoll, un_nested():
            self._epoll = epoll
            note_open(self)
            try:
                async with trio.open_nursery() as nursery:
                    # A cancelled request cleans up, and has to wait for that, too.
                    scopes = [trio.CancelScope(shield=True) for _ in range(2)]
                    nursery.start_soon(self._wake_forever, epoll, scopes[0])
                    nursery.start_soon(self._call_forever, scopes[1])
                    try:
                        yield
                    finally:
                        for scope in scopes:
                            scope.cancel()
            finally:
                self._release_all()
                self._epoll = None
                self._make_calls()
                trio.lowlevel.notify_closing(epoll)

    @trio.lowlevel.enable_ki_protection
    async def _wake_forever(self, epoll: select.epoll, scope: trio.CancelScope) -> None:
        with scope:
            while True:
                await wait_for_events(epoll)
                self._wake(epoll.poll(0, _MAX_EVENTS))

    def _wake(self, ready: list[tuple[int, int]]) -> None:
        registered = self._registered
        for descriptor, events in ready:
            readiness = registered.get(descriptor)
            if readiness is not None:
                readiness.note(events)

    @trio.lowlevel.enable_ki_protection
    async def _call_forever(self, scope: trio.CancelScope) -> None:
        with scope:
            while True:
                self._make_calls()
                self._caller = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._stop_calling)

    def _make_calls(self) -> None:
        calls, self._calls = self._calls, []
        for call in calls:
            call()

    def _stop_calling(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._caller = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _release_all(self) -> None:
        """Let everybody wait in some other way."""
        registered, self._registered = self._registered, {}
        for readiness in registered.values():
            readiness.release()

    def forget(self) -> None:
        """Close the epoll in a forked child, where connections wait as Trio does.

        Nothing is taken out of it: the parent has the same one.
        """
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None
        self._caller = None
        for readiness in self._registered.values():
            readiness.forget()

    # For the connections

    def register(self, descriptor: int, readiness: EdgeReadiness) -> bool:
        """Watch *descriptor* from now on. Return whether that is possible."""
        if self._epoll is None:
            return False
        try:
            self._epoll.register(descriptor, _READ)
        except OSError as error:
            # epoll_ctl(2): ENOMEM, and ENOSPC for max_user_watches.
            log(logging.DEBUG, f"Waiting without the epoll: {describe(error)}")
            return False
        self._registered[descriptor] = readiness
        return True

    # Ctrl-C may not strike where it would leave the caller neither waiting nor woken.
    @trio.lowlevel.enable_ki_protection
    def call_soon(self, call: Callable[[], None]) -> None:
        """Call *call*, for a connection that is registered, once its task waits."""
        self._calls.append(call)
        if self._caller is not None:
            task, self._caller = self._caller, None
            trio.lowlevel.reschedule(task)

    def watch_writing(self, descriptor: int, *, on: bool) -> bool:
        """Also tell when *descriptor* can be written to, or no longer.

        Returns:
            Whether that is possible. epoll_ctl(2) has ENOMEM for it.
        """
        assert self._epoll is not None  # noqa: S101  # it is registered
        try:
            self._epoll.modify(descriptor, _READ_WRITE if on else _READ)
        except OSError as error:
            log(logging.DEBUG, f"Waiting without the epoll: {describe(error)}")
            return False
        return True

    def unregister(self, descriptor: int) -> None:
        """Forget *descriptor*, which is about to be closed.

        The system forgets it by itself only when nobody else, such as a forked child,
        has the same socket open.
        """
        del self._registered[descriptor]
        assert self._epoll is not None  # noqa: S101  # it is registered
        try:
            self._epoll.unregister(descriptor)
        except OSError as error:
            # Somebody has closed it by hand, or there is no memory for this. If it is
            # told about all the same, nobody is woken who minds.
            log(logging.DEBUG, f"Not taken out of the epoll: {describe(error)}")


@final
class EdgeReadiness:
    """Readiness of one socket, as an `EdgePoller` tells it."""

    __slots__ = (
        "_descriptor",
        "_has_ended",
        "_on_writable",
        "_poller",
        "_portable",
        "_reader",
        "_socket",
        "_tells_drained",
        "_writer",
        "is_readable",
    )

    def __init__(self, sock: socket.socket, poller: EdgePoller) -> None:
        """Wait for *sock*, which is registered when it has to be waited for."""
        self.is_readable = True
        """Whether there may be something to read, as far as anybody knows."""
        self._socket = sock
        self._poller = poller
        self._portable: TrioReadiness | None = None
        self._descriptor = _NOT_REGISTERED
        self._has_ended = False
        # A local socket gives less than there is where descriptors were passed along
        # (unix(7)).
        self._tells_drained = sock.family in _INET_FAMILIES
        self._reader: trio.lowlevel.Task | None = None
        self._writer: trio.lowlevel.Task | None = None
        self._on_writable: Callable[[], bool] | None = None

    def note_drained(self) -> None:
        """Note that a read has got less than it asked for: there was no more.

        epoll(7) says so of streams. An end that was told already stays readable.
        """
        if self._tells_drained:
            self.is_readable = self._has_ended

    @trio.lowlevel.enable_ki_protection
    async def wait_readable(self) -> None:
        """Wait until there is something to read, the end of the stream included."""
        self.is_readable = True  # after this, whatever ends the wait
        if self._descriptor == _NOT_REGISTERED and not self._register():
            await self._without_poller().wait_readable()
            return
        if self._reader is not None:
            message = "another task waits to read from this socket"
            raise trio.BusyResourceError(message)
        self._reader = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._stop_reading)
        if self._descriptor == _NOT_REGISTERED:
            self._check_open()

    @trio.lowlevel.enable_ki_protection
    async def wait_writable(self) -> None:
        """Wait until there is room to write."""
        if self._descriptor == _NOT_REGISTERED and not self._register():
            await self._without_poller().wait_writable()
            return
        if self._writer is not None:
            message = "another task waits to write to this socket"
            raise trio.BusyResourceError(message)
        if not self._poller.watch_writing(self._descriptor, on=True):
            await self._without_poller().wait_writable()
            return
        try:
            self._writer = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._stop_writing)
        finally:
            self._watch_writing(on=self._on_writable is not None)
        self._check_open()

    def call_soon(self, send: Callable[[], bool]) -> bool:
        """Call *send* when the running task waits, and while it returns False, again.

        Each time there has to be room to write first.

        Returns:
            Whether that is possible.
        """
        # What then finds no room must be able to wait for some.
        if self._descriptor == _NOT_REGISTERED and not self._register():
            return False
        self._poller.call_soon(partial(self._call, send))
        return True

    @trio.lowlevel.enable_ki_protection
    def close(self) -> None:
        """Wake whoever waits, with `trio.ClosedResourceError`."""
        if self._descriptor != _NOT_REGISTERED:
            self._poller.unregister(self._descriptor)
            self.release()
        if self._portable is not None:
            self._portable.close()

    # For the poller

    def note(self, events: int) -> None:
        """Wake who waits for *events*."""
        if events == _IN:  # nearly always
            self.is_readable = True
            self._wake_reader()
            return
        if events & _ENDED:
            self._has_ended = True
        if events & _PRI:
            self._tells_drained = False
            self.is_readable = True
        if events & _READABLE:
            self.is_readable = True
            self._wake_reader()
        if events & _WRITABLE:
            self._wake_writer()
            self._call_on_writable()

    def release(self) -> None:
        """Wake everybody: this is not registered any more."""
        self._descriptor = _NOT_REGISTERED
        self._on_writable = None
        self.is_readable = True
        self._wake_reader()
        self._wake_writer()

    def forget(self) -> None:
        """Be registered no more, in a forked child: who waits is the parent's."""
        self._descriptor = _NOT_REGISTERED
        self.is_readable = True
        self._reader = self._writer = None

    # Inside

    def _without_poller(self) -> TrioReadiness:
        """Return how to wait where no poller runs; most connections never do."""
        if self._portable is None:
            self._portable = TrioReadiness(self._socket)
        return self._portable

    def _register(self) -> bool:
        descriptor = self._socket.fileno()
        if not self._poller.register(descriptor, self):
            return False
        self._descriptor = descriptor
        return True

    def _check_open(self) -> None:
        # close() came before the socket was closed, and this comes after.
        if self._socket.fileno() == -1:
            message = "another task has closed this socket"
            raise trio.ClosedResourceError(message)

    def _wake_reader(self) -> None:
        if self._reader is not None:
            task, self._reader = self._reader, None
            trio.lowlevel.reschedule(task)

    def _watch_writing(self, *, on: bool) -> None:
        # Closed by somebody else, its number may be another connection's by now.
        if _NOT_REGISTERED != self._descriptor == self._socket.fileno():
            self._poller.watch_writing(self._descriptor, on=on)

    def _call(self, send: Callable[[], bool]) -> None:
        if not send() and self._descriptor != _NOT_REGISTERED:
            self._on_writable = send
            self._watch_writing(on=True)

    def _call_on_writable(self) -> None:
        if self._on_writable is not None:
            send, self._on_writable = self._on_writable, None
            self._watch_writing(on=False)
            self._call(send)

    def _wake_writer(self) -> None:
        if self._writer is not None:
            task, self._writer = self._writer, None
            trio.lowlevel.reschedule(task)

    def _stop_reading(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _stop_writing(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._writer = None
        return trio.lowlevel.Abort.SUCCEEDED
