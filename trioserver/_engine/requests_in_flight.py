"""The requests of a server that have begun and not ended, and the nursery they run in.

Two nurseries are opened here, and nowhere else. The inner one holds the requests, so
that they can be cancelled without harm to anybody else. It lives in a task of the
outer one, or of the caller's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from contextvars import Context, ContextVar, copy_context
from typing import Final, final

import attrs
import trio

from trioserver._engine.admission import Slot
from trioserver._engine.hooks import ClientAddress, Request, ServerHooks
from trioserver._engine.request import run_request
from trioserver._engine.task_pool import Dialogue, TaskPool
from trioserver._exception_groups import un_nested
from trioserver._exceptions import AlreadyServingError


@attrs.define(eq=False)
class InFlight:
    """One request that is running."""

    request: Request
    client_address: ClientAddress
    slot: Slot
    outer: InFlight | None = None
    """The request whose handler is handling this one, if there is such."""


# The request that a task works for. The tasks that a handler starts inherit it.
_current: Final[ContextVar[InFlight | None]] = ContextVar("_current", default=None)


@final
class RequestsInFlight:
    """Runs requests, and knows which of them are still running."""

    __slots__ = (
        "_are_short",
        "_beside",
        "_closed",
        "_closing",
        "_context",
        "_hooks",
        "_leaving",
        "_live",
        "_lot",
        "_nursery",
        "_on_end",
        "_on_idle",
        "_pool",
        "_scopes",
        "is_cancelled",
        "is_entered",
    )

    def __init__(
        self,
        hooks: ServerHooks,
        on_end: Callable[[], None],
        on_idle: Callable[[], None],
        beside: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
        *,
        are_short: bool = False,
    ) -> None:
        """Run requests for a server.

        Args:
            hooks: The server.
            on_end: Called when requests cannot be started any more although the block
                of `open` goes on: after a crash or a cancellation.
            on_idle: Called when the last request that runs has ended.
            beside: Entered before the first request starts, and left after the last
                has ended.
            are_short: Whether most requests need not wait for anything. Then several
                may share a step of a task.
        """
        self.is_cancelled = False
        """Whether `cancel` was called since `open`."""
        self.is_entered = False
        """Whether a block of `open` runs, from its very beginning to its very end."""
        self._hooks = hooks
        self._on_end = on_end
        self._on_idle = on_idle
        self._beside = beside
        self._are_short = are_short
        self._nursery: trio.Nursery | None = None
        self._pool: TaskPool[InFlight] | None = None
        self._context = Context()
        self._closing = trio.Event()
        self._closed = trio.Event()
        self._closed.set()
        self._live: set[InFlight] = set()
        # Requests that themselves wait for the others, and how often they do.
        self._leaving: Counter[InFlight] = Counter()
        # Requests that run in their callers' tasks.
        self._scopes: set[trio.CancelScope] = set()
        self._lot = trio.lowlevel.ParkingLot()

    def __len__(self) -> int:
        return len(self._live)

    @property
    def is_open(self) -> bool:
        """Whether requests can be started."""
        return self._nursery is not None and not self._closing.is_set()

    # The nursery

    # Ctrl-C may not strike between two halves of a nursery.
    @asynccontextmanager
    @trio.lowlevel.enable_ki_protection
    async def open(
        self, handler_nursery: trio.Nursery | None = None
    ) -> AsyncGenerator[None]:
        """Let requests be started while the block runs.

        Args:
            handler_nursery: Where they live. They may outlive the block there. By
                default, the end of the block waits for them.

        Raises:
            AlreadyServingError: If another block has not ended.

        Cancellation:
            Without a *handler_nursery*, cancels the requests. Otherwise they go on
            until that nursery is cancelled, or `cancel` is called.
        """
        self.check_can_open()
        self.is_entered, self.is_cancelled = True, False
        self._closing, self._closed = trio.Event(), trio.Event()
        try:
            if handler_nursery is not None:
                with await self._begin(handler_nursery):
                    yield
            else:
                with un_nested():
                    async with trio.open_nursery() as nursery:
                        with await self._begin(nursery):
                            yield
        finally:
            self.is_entered = False
            self._closed.set()

    def check_can_open(self) -> None:
        """Raise what `open` would raise, if it would refuse."""
        if self.is_entered:
            message = (
                "this server was entered already, or is serving; inside 'async with' "
                "await serve_forever()"
            )
            raise AlreadyServingError(message)

    async def wait_closed(self) -> None:
        """Wait until no block of `open` runs."""
        await self._closed.wait()

    async def _begin(self, nursery: trio.Nursery) -> AbstractContextManager[None]:
        # Requests inherit the context of whoever opened this, not of the handler that
        # happens to close the server and so accepts the last ones.
        self._context = copy_context()
        await nursery.start(self._host)
        return self._ending()

    @contextmanager
    @trio.lowlevel.enable_ki_protection
    def _ending(self) -> Generator[None]:
        try:
            yield
        finally:
            self._closing.set()

    @trio.lowlevel.enable_ki_protection
    async def _host(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Hold the requests, until the block has ended and they have too."""
        closing = self._closing
        with un_nested():
            try:
                async with self._beside(), trio.open_nursery() as self._nursery:
                    run = self._run_short if self._are_short else self._run
                    pool = TaskPool(self._nursery, self._context, run)
                    self._pool = pool
                    task_status.started()
                    try:
                        await closing.wait()
                    finally:
                        pool.end()
                        if not closing.is_set():
                            closing.set()
                            self._on_end()
            finally:
                self._nursery = self._pool = None

    # Running requests

    def start(
        self, request: Request, client_address: ClientAddress, slot: Slot
    ) -> None:
        """Run a request as a task of its own. Takes ownership of *request*.

        Raises:
            trio.ClosedResourceError: If requests cannot be started any more. The
                caller goes on owning the request.
        """
        if self._pool is None or self._closing.is_set():
            message = "no request can be started: the server is stopping"
            raise trio.ClosedResourceError(message)
        in_flight = InFlight(request, client_address, slot)
        self._pool.start(in_flight)
        self._live.add(in_flight)

    @trio.lowlevel.enable_ki_protection
    async def run_here(
        self, request: Request, client_address: ClientAddress, slot: Slot
    ) -> None:
        """Run a request in the caller's task, and return when it has ended."""
        outer = _current.get()
        in_flight = InFlight(request, client_address, slot, outer)
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            self._live.add(in_flight)
            try:
                _current.set(in_flight)
                await self._take_through_life(in_flight)
            finally:
                self._note_end(in_flight)
                self._scopes.discard(scope)
                _current.set(outer)
        # It may have been there already, and have waited for nothing.
        await trio.lowlevel.cancel_shielded_checkpoint()

    @trio.lowlevel.enable_ki_protection
    async def _run(self, first: InFlight) -> None:
        """Run requests in a task of their own, one after the other."""
        pool, task = self._pool, trio.lowlevel.current_task()
        assert pool is not None  # noqa: S101  # it has started this task
        in_flight: InFlight | None = first
        del first
        while in_flight is not None:
            _current.set(in_flight)
            went_well = False
            try:
                went_well = await self._take_through_life(in_flight)
            finally:
                self._note_end(in_flight)
            in_flight = None  # not held while the task waits
            if went_well:
                in_flight = await pool.next_work(task)

    @trio.lowlevel.enable_ki_protection
    async def _run_short(self, first: InFlight) -> None:
        """Run requests as `_run` does, several in one step if they need not wait."""
        pool, task = self._pool, trio.lowlevel.current_task()
        assert pool is not None  # noqa: S101  # it has started this task
        in_flight: InFlight | None = first
        del first
        while in_flight is not None:
            context = self._context.copy()
            context.run(_current.set, in_flight)
            went_well = False
            try:
                life = self._take_through_life(in_flight)
                went_well = await pool.begin(life, context, task)
            finally:
                self._note_end(in_flight)
                if not went_well:
                    pool.hand_over()
            del life, context
            in_flight = None  # not held while the task waits
            if went_well:
                in_flight = pool.take(task) or await pool.next_work(task)

    def _take_through_life(self, in_flight: InFlight) -> Dialogue:
        return run_request(
            self._hooks, in_flight.request, in_flight.client_address, in_flight.slot
        )

    def _note_end(self, in_flight: InFlight) -> None:
        self._live.discard(in_flight)
        if self._leaving:
            del self._leaving[in_flight]
        if self._lot:
            self._lot.unpark_all()
        if not self._live:
            self._on_idle()

    # Ending them

    async def wait_ended(self) -> None:
        """Wait until no request is running.

        A request whose handler calls this, and one that waits here too, is not
        waited for: it could never end. It gives its slot to those who wait for one.
        """
        own = self._live.intersection(_chain(_current.get()))
        for in_flight in own:
            in_flight.slot.release()
        self._leaving.update(own)
        self._lot.unpark_all()
        try:
            while len(self._live) > len(self._leaving):
                await self._lot.park()
        finally:
            for in_flight in own & self._leaving.keys():
                self._stay(in_flight)

    def cancel(self) -> None:
        """Cancel every request that is running. None can be started any more."""
        self.is_cancelled = True
        self._closing.set()
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
        for scope in self._scopes:
            scope.cancel()

    def _stay(self, in_flight: InFlight) -> None:
        """Count one wait of *in_flight* less; after the last one, it is waited for."""
        self._leaving[in_flight] -= 1
        if not self._leaving[in_flight]:
            del self._leaving[in_flight]


def _chain(in_flight: InFlight | None) -> Iterator[InFlight]:
    """Yield *in_flight*, the request that handles it, and so on."""
    while in_flight is not None:
        yield in_flight
        in_flight = in_flight.outer
