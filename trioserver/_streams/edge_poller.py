"""One epoll for all connections of a server, nested in Trio's own.

Trio registers a descriptor anew for each wait: a system call for every wait, and its
own bookkeeping for every descriptor that is ready. Here a connection is registered
once, edge-triggered, and one task waits for all of them; when it wakes, it asks for
everything that is ready and wakes the tasks that wait for it. Measured with 100
connections that echo: half the processor time for a request.

Linux only; `trioserver._streams.readiness` has the portable way, and
`trioserver._streams.edge_readiness` the connection's side of this one.
"""

from __future__ import annotations

import logging
import select
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final, final

import trio

from trioserver._exception_groups import un_nested
from trioserver._log import describe, log
from trioserver._open_descriptors import note_open
from trioserver._streams.edge_readiness import IN, READ, READ_WRITE, EdgeReadiness
from trioserver._streams.wake_up import WOKEN

HAS_EPOLL: Final = hasattr(select, "epoll")

# Events taken in one call; what is left comes with the next.
_MAX_EVENTS: Final = 256


def _open_epoll() -> select.epoll | None:
    try:
        return select.epoll()
    except OSError as error:
        log(logging.DEBUG, f"Waiting without an epoll: {describe(error)}")
        return None


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
        epoll = _open_epoll()
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
                await trio.lowlevel.wait_readable(epoll)
                self._wake(epoll.poll(0, _MAX_EVENTS))

    def _wake(self, ready: list[tuple[int, int]]) -> None:
        registered, reschedule = self._registered, trio.lowlevel.reschedule
        for descriptor, events in ready:
            readiness = registered.get(descriptor)
            if readiness is None:
                continue
            if events == IN:  # nearly always, so that a call more would be noticed
                readiness.is_readable = True
                if readiness.reader is not None:
                    task, readiness.reader = readiness.reader, None
                    reschedule(task, WOKEN)
            else:
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
            self._epoll.register(descriptor, READ)
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
            trio.lowlevel.reschedule(task, WOKEN)

    def watch_writing(self, descriptor: int, *, on: bool) -> None:
        """Also tell when *descriptor* can be written to, or no longer."""
        assert self._epoll is not None  # noqa: S101  # it is registered
        self._epoll.modify(descriptor, READ_WRITE if on else READ)

    def unregister(self, descriptor: int) -> None:
        """Forget *descriptor*, which is about to be closed.

        The system forgets it by itself only when nobody else, such as a forked child,
        has the same socket open.
        """
        del self._registered[descriptor]
        assert self._epoll is not None  # noqa: S101  # it is registered
        self._epoll.unregister(descriptor)
