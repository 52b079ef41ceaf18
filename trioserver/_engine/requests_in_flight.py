"""The requests of a server that have begun and not ended, and the nursery they run in.

Two nurseries are opened here, and nowhere else. The inner one holds the requests, so
that they can be cancelled without harm to anybody else. It lives in a task of the
outer one, or of the caller's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import final

import trio

from trioserver._engine.admission import Slot
from trioserver._engine.hooks import ClientAddress, Request, ServerHooks
from trioserver._engine.request import run_request
from trioserver._exception_groups import un_nested
from trioserver._exceptions import AlreadyServingError


@final
class RequestsInFlight:
    """Runs requests, and knows which of them are still running."""

    __slots__ = (
        "_closing",
        "_count",
        "_hooks",
        "_is_entered",
        "_is_opened",
        "_leaving",
        "_lot",
        "_nursery",
        "_on_end",
        "_scopes",
        "_tasks",
        "is_cancelled",
    )

    def __init__(self, hooks: ServerHooks, on_end: Callable[[], None]) -> None:
        """Run requests for a server.

        Args:
            hooks: The server.
            on_end: Called when requests cannot be started any more, for whatever
                reason: a crash, a cancellation, or an orderly end.
        """
        self.is_cancelled = False
        """Whether `cancel` was called since `open`."""
        self._hooks = hooks
        self._on_end = on_end
        self._nursery: trio.Nursery | None = None
        self._closing = trio.Event()
        self._is_opened = False
        self._is_entered = False
        self._count = 0
        self._tasks: set[trio.lowlevel.Task] = set()
        # Requests whose handlers themselves wait for the others.
        self._leaving: set[trio.lowlevel.Task] = set()
        # Requests that run in their callers' tasks.
        self._scopes: set[trio.CancelScope] = set()
        self._lot = trio.lowlevel.ParkingLot()

    def __len__(self) -> int:
        return self._count

    @property
    def is_entered(self) -> bool:
        """Whether a block of `open` runs, even one that was cancelled."""
        return self._is_entered

    @property
    def is_open(self) -> bool:
        """Whether requests can be started."""
        return self._nursery is not None and not self._closing.is_set()

    # The nursery

    @asynccontextmanager
    async def open(
        self, handler_nursery: trio.Nursery | None = None
    ) -> AsyncGenerator[None]:
        """Let requests be started while the block runs.

        Args:
            handler_nursery: Where they live. They may outlive the block there. By
                default, the end of the block waits for them.

        Cancellation:
            Without a *handler_nursery*, cancels the requests. Otherwise they go on
            until that nursery is cancelled, or `cancel` is called.
        """
        self.check_can_open()
        self._is_opened = True
        self.is_cancelled = False
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
            self._is_opened = False
            self._is_entered = False

    def check_can_open(self) -> None:
        """Raise what `open` would raise, if it would refuse."""
        if self._is_opened:
            message = (
                "this server was entered already, or is serving; inside 'async with' "
                "await serve_forever()"
            )
            raise AlreadyServingError(message)

    async def _begin(self, nursery: trio.Nursery) -> AbstractContextManager[None]:
        self._closing = trio.Event()
        await nursery.start(self._host)
        self._is_entered = True
        return self._ending()

    @contextmanager
    def _ending(self) -> Generator[None]:
        try:
            yield
        finally:
            self._closing.set()

    async def _host(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Hold the requests, until the block has ended and they have too."""
        closing = self._closing
        with un_nested():
            try:
                async with trio.open_nursery() as self._nursery:
                    task_status.started()
                    try:
                        await closing.wait()
                    finally:
                        closing.set()
                        self._on_end()
            finally:
                self._nursery = None

    # Running requests

    def start(
        self, request: Request, client_address: ClientAddress, slot: Slot
    ) -> None:
        """Run a request as a task of its own. Takes ownership of *request*.

        Raises:
            trio.ClosedResourceError: If requests cannot be started any more. The
                caller goes on owning the request.
        """
        if self._nursery is None or self._closing.is_set():
            message = "no request can be started: the server is stopping"
            raise trio.ClosedResourceError(message)
        self._nursery.start_soon(self._run, request, client_address, slot)
        self._count += 1

    async def run_here(
        self, request: Request, client_address: ClientAddress, slot: Slot
    ) -> None:
        """Run a request in the caller's task, and return when it has ended."""
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            self._count += 1
            try:
                await self._run(request, client_address, slot)
            finally:
                self._scopes.discard(scope)

    async def _run(
        self, request: Request, client_address: ClientAddress, slot: Slot
    ) -> None:
        task = trio.lowlevel.current_task()
        self._tasks.add(task)
        try:
            await run_request(self._hooks, request, client_address, slot)
        finally:
            self._tasks.discard(task)
            self._count -= 1
            self._lot.unpark_all()

    # Ending them

    async def wait_ended(self) -> None:
        """Wait until no request is running.

        A request whose handler calls this, and one that waits here too, is not
        waited for: it could never end.
        """
        own = self._own_requests()
        self._leaving |= own
        self._lot.unpark_all()
        try:
            while self._count > len(self._leaving):
                await self._lot.park()
        finally:
            self._leaving -= own

    def cancel(self) -> None:
        """Cancel every request that is running. None can be started any more."""
        self.is_cancelled = True
        self._closing.set()
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
        for scope in self._scopes:
            scope.cancel()

    def _own_requests(self) -> set[trio.lowlevel.Task]:
        """Return the requests that the calling task works for."""
        return self._tasks.intersection(_ancestors(trio.lowlevel.current_task()))


def _ancestors(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    """Yield *task*, the task that owns it, and so on up to the root."""
    yield task
    while task.parent_nursery is not None:
        task = task.parent_nursery.parent_task
        yield task
