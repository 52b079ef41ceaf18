"""Whether one socket is ready, as the epoll of its server tells."""

from __future__ import annotations

import select
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol, final

import trio

from trioserver._streams.readiness import TrioReadiness
from trioserver._streams.wake_up import WOKEN, repeated_wait

# The events of Linux, 0 elsewhere: this can be imported on every system.
IN, _OUT, _RDHUP, _HUP, _ERR, _ET = (
    getattr(select, f"EPOLL{event}", 0)
    for event in ("IN", "OUT", "RDHUP", "HUP", "ERR", "ET")
)

# Edges are told once. RDHUP, because an end-of-file that comes with the last data has
# no edge of its own.
READ: Final = IN | _RDHUP | _ET
READ_WRITE: Final = READ | _OUT

# After these, every read returns at once, and no edge tells so again.
_ENDED: Final = _RDHUP | _HUP | _ERR

_READABLE: Final = IN | _ENDED
_WRITABLE: Final = _OUT | _HUP | _ERR

_NOT_REGISTERED: Final = -1

_INET_FAMILIES: Final = frozenset({socket.AF_INET, socket.AF_INET6})


class Poller(Protocol):
    """Waits for many sockets at once: an `EdgePoller`."""

    def register(self, descriptor: int, readiness: EdgeReadiness) -> bool:
        """Watch *descriptor* from now on. Return whether that is possible."""
        ...

    def unregister(self, descriptor: int) -> None:
        """Forget *descriptor*, which is about to be closed."""

    def watch_writing(self, descriptor: int, *, on: bool) -> None:
        """Also tell when *descriptor* can be written to, or no longer."""

    def call_soon(self, call: Callable[[], None]) -> None:
        """Call *call*, for a connection that is registered, once its task waits."""


@final
class EdgeReadiness:
    """Readiness of one socket, as an `EdgePoller` tells it."""

    __slots__ = (
        "_descriptor",
        "_has_ended",
        "_on_writable",
        "_poller",
        "_portable",
        "_socket",
        "_tells_drained",
        "_wait",
        "_writer",
        "is_readable",
        "reader",
    )

    def __init__(
        self, sock: socket.socket, poller: Poller, *, family: int | None = None
    ) -> None:
        """Wait for *sock*, which is registered when it has to be waited for.

        Args:
            sock: Any stream socket.
            poller: Tells when it is ready.
            family: Its address family, if the caller knows it: the socket takes long
                to say so.
        """
        self.is_readable = True
        """Whether there may be something to read, as far as anybody knows."""
        self.reader: trio.lowlevel.Task | None = None
        """Who waits for that, and is to be woken."""
        self._socket = sock
        self._poller = poller
        self._portable: TrioReadiness | None = None
        self._descriptor = _NOT_REGISTERED
        self._has_ended = False
        # A local socket gives less than there is where descriptors were passed along
        # (unix(7)).
        self._tells_drained = (
            sock.family if family is None else family
        ) in _INET_FAMILIES
        self._wait: Awaitable[None] | None = None
        self._writer: trio.lowlevel.Task | None = None
        self._on_writable: Callable[[], bool] | None = None

    def note_drained(self) -> None:
        """Note that a read has got less than it asked for: there was no more.

        epoll(7) says so of streams. An end that was told already stays readable.
        """
        if self._tells_drained:
            self.is_readable = self._has_ended

    @trio.lowlevel.enable_ki_protection
    def wait_readable(self) -> Awaitable[object]:
        """Wait until there is something to read, the end of the stream included."""
        self.is_readable = True  # after this, whatever ends the wait
        if self._descriptor == _NOT_REGISTERED and not self._register():
            return self._without_poller().wait_readable()
        if self.reader is not None:
            message = "another task waits to read from this socket"
            raise trio.BusyResourceError(message)
        self.reader = trio.lowlevel.current_task()
        if self._wait is None:
            self._wait = repeated_wait(self._stop_reading)
        return self._wait

    @trio.lowlevel.enable_ki_protection
    async def wait_writable(self) -> None:
        """Wait until there is room to write."""
        if self._descriptor == _NOT_REGISTERED and not self._register():
            await self._without_poller().wait_writable()
            return
        if self._writer is not None:
            message = "another task waits to write to this socket"
            raise trio.BusyResourceError(message)
        self._poller.watch_writing(self._descriptor, on=True)
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
        self._wait = None  # it refers to this
        if self._portable is not None:
            self._portable.close()

    # For the poller

    def note(self, events: int) -> None:
        """Wake who waits for *events*."""
        if events & _ENDED:
            self._has_ended = True
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
        self.reader = self._writer = None

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
        if self.reader is not None:
            task, self.reader = self.reader, None
            trio.lowlevel.reschedule(task, WOKEN)

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
            trio.lowlevel.reschedule(task, WOKEN)

    def _stop_reading(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self.reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _stop_writing(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._writer = None
        return trio.lowlevel.Abort.SUCCEEDED
