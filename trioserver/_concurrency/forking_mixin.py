"""`ForkingMixIn`: each request in a child process of its own."""

from __future__ import annotations

import inspect
from functools import cached_property
from typing import ClassVar

import trio

from trioserver._concurrency.child_process import ChildProcess
from trioserver._concurrency.exit_note import ExitNote
from trioserver._concurrency.exit_report import report_exit
from trioserver._concurrency.forked_child import ForkedChild
from trioserver._concurrency.synchronous_view import view_of
from trioserver._engine.forceful_close import close_forcefully
from trioserver._engine.hooks import ClientAddress, Request, Server, settled
from trioserver._handlers.checking import refuse_handlers
from trioserver._handlers.handler_kind import is_asynchronous, is_foreign_handler
from trioserver._handlers.session import DatagramSessionHandler
from trioserver._streams.connection import Connection


class ForkingMixIn:
    """Handles each request in a child process of its own. For POSIX systems.

    Like socketserver's, but handlers may be asynchronous as well; children that run are
    requests in flight like any others, which `server_close` joins and a cancellation
    ends; and only they are waited for, never another child of this process.

    A synchronous handler, of socketserver's or any callable, is called in the child
    with a socket that blocks. An asynchronous one gets a `trio.run` of its own there.
    """

    timeout: float | None = 300
    """Seconds that ``handle_request`` waits for a request, as in socketserver."""

    active_children: set[int] | None = None
    """The process numbers of the children that run. None before the first one."""

    max_children: float = 40
    """The most children that run at once; more clients wait in the listen queue."""

    block_on_close: bool = True
    """Whether `server_close` waits for the children that run. If not, it ends them.

    With SIGTERM, and, after ``cleanup_timeout`` seconds, SIGKILL.
    """

    # What limits how many requests run at once.
    _slot_settings: ClassVar[frozenset[str]] = frozenset(
        {"max_concurrent_requests", "max_children"}
    )

    # Where `collect_children` waits. Like `active_children`, it is not there from the
    # start: a mix-in has no constructor.
    _ended: trio.lowlevel.ParkingLot

    # For the caller

    async def collect_children(self, *, blocking: bool = False) -> None:
        """Wait until the children that run now have ended, if *blocking*.

        Like socketserver's, but without it nothing is left to do, and nobody has to
        call it: each child is waited for all the time.
        """
        await trio.lowlevel.checkpoint()
        if not blocking or self.active_children is None:
            return
        running = frozenset(self.active_children)
        while not running.isdisjoint(self.active_children):
            await self._ended.park()

    async def server_close(self) -> None:
        """Close the server, and wait for the children or end them.

        As every server; and `block_on_close` set to False is ``daemon_requests``.
        """
        await super().server_close()  # type: ignore[misc]  # of the server class
        await self.collect_children(blocking=self.block_on_close)

    # For subclasses

    @trio.lowlevel.enable_ki_protection
    async def process_request(
        self, request: Request, client_address: ClientAddress
    ) -> None:
        """Fork a child that handles *request*, close it here, and wait for the child.

        In the child, ``finish_request`` is called, then ``handle_error`` if that has
        raised, and then ``shutdown_request``; in this process, ``close_request``.

        Raises:
            OSError: If there can be no more processes.

        Cancellation:
            The child is ended, and has ended.
        """
        server: Server = self
        if await self._process_here(request, client_address):
            await settled(server.shutdown_request(request))
            return
        is_awaited = is_asynchronous(server.RequestHandlerClass)
        view = None if is_awaited else self._synchronous_view
        child, note = ChildProcess(), ExitNote()
        try:
            child.start(ForkedChild(server, view, request, client_address, note).run)
            self._note_started(child)
            await _close_and_wait(child, server, view, request)
        finally:
            try:
                await child.end(server.cleanup_timeout)
            finally:
                self._note_ended(child)
                report_exit(child.pid, child.status, note.read(), client_address)
                note.close()
                if child.pid is not None:
                    await _disown(request)

    async def handle_timeout(self) -> None:
        """Call `collect_children`."""
        await settled(self.collect_children())

    async def service_actions(self) -> None:
        """Call `collect_children`. Only called if one of the two is overridden."""
        await settled(self.collect_children())

    # Inside

    # They wait for their children.
    _requests_are_short = False

    @cached_property
    def _synchronous_view(self) -> Server:
        """This server as synchronous handlers see it."""
        server: Server = self
        return view_of(self, server._thread_hooks())  # noqa: SLF001  # of the same object

    def _note_started(self, child: ChildProcess) -> None:
        if self.active_children is None:
            self.active_children = set()
            self._ended = trio.lowlevel.ParkingLot()
        assert child.pid is not None  # noqa: S101  # it was started
        self.active_children.add(child.pid)

    def _note_ended(self, child: ChildProcess) -> None:
        if self.active_children is None or child.pid is None:
            return
        self.active_children.discard(child.pid)
        self._ended.unpark_all()
        if child.status is not None and child.status.code == 0:
            self._note_handled()

    def _has_service_actions(self) -> bool:
        hooks = (self.service_actions, self.collect_children)
        ours = (ForkingMixIn.service_actions, ForkingMixIn.collect_children)
        return tuple(getattr(hook, "__func__", hook) for hook in hooks) != ours

    def _check_handler(self, handler: object) -> None:
        """Accept both kinds; what ours must be like is checked as everywhere."""
        refuse_handlers(handler, DatagramSessionHandler, what=type(self).__name__)
        if not is_foreign_handler(handler):
            super()._check_handler(handler)  # type: ignore[misc]  # of the server class

    def _most_requests(self) -> float:
        limits: list[float] = [super()._most_requests(), self.max_children]  # type: ignore[misc]  # as above
        return min(limits)

    def _cancels_on_close(self) -> bool:
        return not self.block_on_close or bool(super()._cancels_on_close())  # type: ignore[misc]  # as above

    async def _process_here(
        self, request: Request, client_address: ClientAddress
    ) -> bool:
        return bool(await super()._process_here(request, client_address))  # type: ignore[misc]  # as above

    def _note_handled(self) -> None:
        super()._note_handled()  # type: ignore[misc]  # as above


@trio.lowlevel.enable_ki_protection
async def _close_and_wait(
    child: ChildProcess, server: Server, view: Server | None, request: Request
) -> None:
    """Close *request* here, and wait for the child that has it, even if that fails."""
    try:
        await _close(server, view, request)
    finally:
        await child.wait()


async def _disown(request: Request) -> None:
    """Close *request*, if a hook has not: a child may have made it block for ever.

    Whether a socket blocks is the same for all processes that have it.
    """
    await close_forcefully(request)


@trio.lowlevel.disable_ki_protection
async def _close(server: Server, view: Server | None, request: Request) -> None:
    """Close what this process has of *request*, and say nothing to the client.

    A TLS stream would say good-bye, and so end the child's conversation. Here an
    override may wait; one that is a plain function sees what it sees in the child.
    """
    is_stream = isinstance(request, trio.abc.AsyncResource)
    if is_stream and not isinstance(request, Connection):
        await close_forcefully(request)
    elif view is None or inspect.iscoroutinefunction(server.close_request):
        await settled(server.close_request(request))
    else:
        view.close_request(request)
