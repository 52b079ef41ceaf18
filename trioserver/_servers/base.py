"""`BaseServer`: the life cycle for the caller, and the hooks for subclasses."""

from __future__ import annotations

import math
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from types import TracebackType
from typing import ClassVar, Final, Self

import trio

from trioserver._cancellation import CLEANUP_TIMEOUT
from trioserver._concurrency.thread_hooks import HooksInPlace, ThreadHooks
from trioserver._engine.accept_failures import AcceptFailures
from trioserver._engine.accept_loop import accept_forever
from trioserver._engine.accept_single import accept_single
from trioserver._engine.admission import Admission
from trioserver._engine.closing import Closing
from trioserver._engine.drain import drain
from trioserver._engine.error_report import report_error
from trioserver._engine.hooks import (
    ClientAddress,
    Request,
    Server,
    ServerHooks,
    idle,
    settled,
)
from trioserver._engine.requests_in_flight import RequestsInFlight
from trioserver._engine.service_loop import accept_beside
from trioserver._engine.serving import Serving
from trioserver._exceptions import AlreadyServingError
from trioserver._handlers.base import handled
from trioserver._handlers.checking import check_bases, check_handler
from trioserver._settings import check_seconds, check_setting, check_settings
from trioserver._sockets.addresses import format_address

HandlerFactory = Callable[[Request, ClientAddress, Server], object]


class BaseServer:
    """What all servers have in common; a subclass knows where requests come from.

    Like socketserver's, but asynchronous: each request is a task, in a nursery that
    belongs to the server.

    Methods for the caller:

    - `serve`, `serve_forever`, `handle_request`
    - `shutdown`, `server_close`
    - ``async with server:`` and ``with server:``

    Methods that may be overridden:

    - `get_request`, `verify_request`, `process_request`, `finish_request`
    - `shutdown_request`, `close_request`
    - `handle_error`, `handle_timeout`, `service_actions`
    - `server_activate`, `server_close`

    An override of an asynchronous method may be a plain function, as long as it
    returns nothing to await.
    """

    timeout: float | None = None
    """Seconds that `handle_request` waits for a request. None: for ever."""

    max_concurrent_requests: float = math.inf
    """The most requests that run at once; more wait in the listen queue.

    1 is the order of socketserver's plain servers. 0 accepts nobody. It may be changed
    while the server runs.
    """

    daemon_requests: bool = False
    """Whether closing the server cancels the requests that are running."""

    block_on_close: bool = True
    """Whether `server_close` waits for the requests that are running."""

    drain_timeout: float = math.inf
    """Seconds that `server_close` waits before it cancels what still runs."""

    cleanup_timeout: float = CLEANUP_TIMEOUT
    """Seconds that a cancelled request may take to finish, and again to close."""

    # What limits how many requests run at once.
    _slot_settings: ClassVar[frozenset[str]] = frozenset({"max_concurrent_requests"})

    # Whether most requests need not wait for anything.
    _requests_are_short: ClassVar[bool] = False

    server_address: ClientAddress
    """Where the server listens."""

    RequestHandlerClass: HandlerFactory
    """What is called for each request."""

    def __init__(
        self, server_address: ClientAddress, RequestHandlerClass: HandlerFactory
    ) -> None:
        """Make a server that is not bound to anything yet.

        Args:
            server_address: Where to listen.
            RequestHandlerClass: A class derived from `BaseRequestHandler`, or any
                callable ``(request, client_address, server)``. What it returns is
                awaited, if it can be.

        Raises:
            TypeError: If the handler is synchronous, or cannot be called at all.
            ValueError: If a setting on the class is out of range.
        """
        check_bases(type(self))
        check_settings(self)
        self.server_address = server_address
        self.RequestHandlerClass = RequestHandlerClass
        self._admission = Admission(self._most_requests())
        self._serving = Serving()
        self._requests = RequestsInFlight(
            self._engine_hooks(),
            self._serving.cancel,
            self._note_idle,
            self._beside_requests,
            are_short=self._requests_are_short,
        )
        self._failures = AcceptFailures(self._where, self._is_listening)
        self._closing = Closing(self._close_at_once)
        self._is_entered = False
        self._is_waiting = False
        self._entry: AbstractAsyncContextManager[Self] | None = None

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute; a setting is checked, and takes effect at once."""
        check_setting(name, value)
        if name == "RequestHandlerClass":
            self._check_handler(value)
        super().__setattr__(name, value)
        if name in self._slot_settings and "_admission" in self.__dict__:
            self._admission.set_limit(self._most_requests())

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {format_address(self.server_address)}, "
            f"{self._serving.state.value}, requests in flight: {len(self._requests)}>"
        )

    @property
    def requests_in_flight(self) -> int:
        """The requests that were accepted and have not ended."""
        return len(self._requests)

    # For the caller: serving

    @trio.lowlevel.enable_ki_protection
    async def serve(
        self,
        *,
        handler_nursery: trio.Nursery | None = None,
        task_status: trio.TaskStatus[BaseServer] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `shutdown` or `server_close`, then close the server.

        For ``trio.run(server.serve)`` and ``await nursery.start(server.serve)``,
        which returns the server.

        Args:
            handler_nursery: Where the requests live. By default, nothing outlives this
                call.
            task_status: Told when the server accepts requests.

        Raises:
            AlreadyServingError: If the server is serving, or was entered with
                ``async with``.
            ServerClosedError: If it was closed before.
            ListenerBrokenError: If its socket can never accept again.
            BaseException: What a request raised that is no `Exception`, and what
                `handle_error` raised; as itself if there is just one.

        Cancellation:
            Cancels all requests at once, wherever they live, and closes the server.
            Only `shutdown` is graceful.
        """
        async with self._entered(handler_nursery):
            await self.serve_forever(task_status=task_status)

    @trio.lowlevel.enable_ki_protection
    async def serve_forever(
        self,
        poll_interval: float = 0.5,
        *,
        task_status: trio.TaskStatus[BaseServer] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept requests until `shutdown`. The socket stays open for another time.

        Inside ``async with server:`` it returns when the accept loop has ended, and
        the requests go on. Otherwise they end first, as `server_close` would end them.

        Like socketserver's, but it takes no part in shutting down how long
        *poll_interval* is.

        Args:
            poll_interval: Seconds between two calls of an overridden
                `service_actions`.
            task_status: Told when the server accepts requests.

        Raises:
            AlreadyServingError: If the server is serving.
            ServerClosedError: If it was closed before.
            ListenerBrokenError: If its socket can never accept again.

        Cancellation:
            Ends the accept loop; outside ``async with server:``, cancels the requests.
        """
        check_seconds("poll_interval", poll_interval)
        self._check_not_waiting()
        accept = partial(self._accept, poll_interval)
        started = partial(task_status.started, self)
        with self._serving.cycle() as cycle:
            if self._is_entered:
                await cycle.run(accept, started)
                return
            # The requests of a cycle before may still be ending.
            await cycle.until_stopped(self._requests.wait_closed)
            if cycle.is_stopped:
                started()
                await trio.lowlevel.checkpoint()
                return
            async with self._requests.open():
                await cycle.run(accept, started)
                await self._drain()

    @trio.lowlevel.enable_ki_protection
    async def handle_request(self) -> None:
        """Wait for one request and handle it, or call `handle_timeout`.

        Like socketserver's, but the request's own error never ends the caller, unless
        `handle_error` raises it. `timeout` bounds the wait, never the handling.

        Raises:
            AlreadyServingError: If `serve_forever` is running.
            ServerClosedError: If the server was closed, before or meanwhile.
            ListenerBrokenError: If its socket can never accept again.

        Cancellation:
            Nothing was accepted, or the request is cancelled.
        """
        self._serving.check_can_serve()
        self._check_not_waiting()
        self._is_waiting = True
        try:
            accepted = await accept_single(
                self._get_request,
                self._admission.slot(),
                self._failures,
                max_wait=self.timeout,
            )
        finally:
            self._is_waiting = False
        for request in accepted.requests:
            await self._requests.run_here(*request)
        if accepted.timed_out:
            await settled(self.handle_timeout())
        elif accepted.pause is not None:
            await trio.sleep(accepted.pause)

    # For the caller: stopping

    async def shutdown(self) -> None:
        """End the accept loop at once, and return when it has ended.

        Requests go on. Before the first loop, it makes that one end at once; after a
        loop has ended it does nothing. It may be called any number of times, from any
        task, from a handler too, and from another thread with
        ``trio.from_thread.run(server.shutdown, trio_token=token)``.
        """
        await self._serving.stop()

    @trio.lowlevel.enable_ki_protection
    async def server_close(self) -> None:
        """Close the server for good; it may be serving.

        In this order: the accept loop ends; clients who are in the listen queue, and so
        have been told that they are connected, are accepted; the socket is closed; the
        requests end, as `daemon_requests`, `block_on_close` and `drain_timeout` say. A
        handler that calls this is not waited for.

        Like socketserver's, but it also ends the accept loop. May be overridden.

        Cancellation:
            The socket is closed. Requests go on in the nursery that owns them.
        """
        async with self._open_for_queued():
            async with self._closing.alone() as is_alone:
                if is_alone:
                    await self._serving.stop()
                    if self._serves_queued() and self._requests.is_open:
                        await self._start_queued()
            # Not while we close alone: a request may close the server, too.
            self._admission.close()
            await self._drain()

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> Self:
        """Open the nursery that the requests live in."""
        entry = self._entered()
        server = await entry.__aenter__()
        self._entry = entry
        return server

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        exc_traceback: TracebackType | None,
    ) -> bool | None:
        """Close the server as `server_close` does; at once after an exception."""
        entry, self._entry = self._entry, None
        assert entry is not None  # noqa: S101  # __aenter__ came before
        return await entry.__aexit__(exc_type, exc_value, exc_traceback)

    def __enter__(self) -> Self:
        """Return the server, which closes its socket at the end of the block."""
        return self

    @trio.lowlevel.enable_ki_protection
    def __exit__(self, *exc_info: object) -> None:
        """Close the socket. It waits for nothing, and may be outside of Trio."""
        self._close_at_once()

    # For subclasses: where requests come from, and where they go

    def server_activate(self) -> None:
        """Begin to listen. Called by the constructor of a server that has a socket."""

    async def get_request(self) -> tuple[Request, ClientAddress]:
        """Wait for the next request. Return it with the client's address.

        An `OSError` or a `trio.BrokenResourceError` is one client's failure, and the
        next one is waited for; any other exception ends the accept loop.

        Cancellation:
            Must not lose a request that it has accepted: no checkpoint after that, or
            close it before re-raising.
        """
        message = f"{type(self).__name__} must define get_request()"
        raise NotImplementedError(message)

    @idle
    async def verify_request(
        self, request: Request, client_address: ClientAddress
    ) -> bool:
        """Return whether *request* shall be processed; if not, it is shut down."""
        return True

    async def process_request(
        self, request: Request, client_address: ClientAddress
    ) -> None:
        """Finish *request*, then shut it down.

        Runs in a task of its own already. An override that hands the request on to
        somebody else returns without shutting it down.
        """
        if self._finishes_as_all_do():
            # Nothing but what finish_request() does, without a coroutine for that.
            await handled(self.RequestHandlerClass(request, client_address, self))
        else:
            await settled(self.finish_request(request, client_address))
        await settled(self.shutdown_request(request))

    async def finish_request(
        self, request: Request, client_address: ClientAddress
    ) -> None:
        """Call `RequestHandlerClass`, and await what it returns."""
        await handled(self.RequestHandlerClass(request, client_address, self))

    async def shutdown_request(self, request: Request) -> None:
        """Shut *request* down and close it."""
        await settled(self.close_request(request))

    async def close_request(self, request: Request) -> None:
        """Close *request*."""

    # For subclasses: what happens now and then

    async def handle_error(
        self, request: Request, client_address: ClientAddress
    ) -> None:
        """Report the exception that a request has raised, and go on serving.

        It runs where the exception is being handled: `sys.exception` returns it, and a
        bare ``raise`` lets it end the server.

        Like socketserver's, but it writes to the log ``trioserver``, not to stderr: an
        ERROR with the traceback, an INFO for what the client did wrong, a DEBUG for a
        client that has vanished.
        """
        report_error(request, client_address, sys.exception())

    async def handle_timeout(self) -> None:
        """Do something when `handle_request` has waited in vain for `timeout`."""

    async def service_actions(self) -> None:
        """Do something every ``poll_interval`` seconds of `serve_forever`."""

    # Inside

    @asynccontextmanager
    @trio.lowlevel.enable_ki_protection
    async def _entered(
        self, handler_nursery: trio.Nursery | None = None
    ) -> AsyncGenerator[Self]:
        """Let requests be started, and close the server in the end."""
        self._serving.check_can_serve()
        self._requests.check_can_open()
        try:
            async with self._requests.open(handler_nursery):
                self._is_entered = True
                try:
                    yield self
                except BaseException:
                    # Cancelled from outside, or by an error: now means now.
                    self._requests.cancel()
                    with trio.move_on_after(self.cleanup_timeout, shield=True):
                        await settled(self.server_close())
                    raise
                await self._close_or_cancel()
        finally:
            self._is_entered = False
            self._close_at_once()

    async def _close_or_cancel(self) -> None:
        """Close the server; if that is cancelled or fails, cancel the requests."""
        try:
            await settled(self.server_close())
        except BaseException:
            self._requests.cancel()
            raise

    async def _accept(self, poll_interval: float) -> None:
        """Accept requests, and call `service_actions` beside if it is overridden."""
        if not self._requests.is_open:
            return  # the nursery that they would live in is gone already
        accepting = partial(
            accept_forever,
            self._get_request,
            self._requests.start,
            self._admission,
            self._failures,
            get_queued=self._get_queued,
        )
        if self._has_service_actions():
            await accept_beside(accepting, self.service_actions, poll_interval)
        else:
            await accepting()

    def _get_request(self) -> Awaitable[tuple[Request, ClientAddress]]:
        return settled(self.get_request())

    def _get_queued(self) -> tuple[Request, ClientAddress] | None:
        """Return a request that is there already, if it is found without waiting."""
        return None

    def _check_handler(self, handler: object) -> None:
        """Refuse a *handler* that this kind of server could not run."""
        check_handler(handler, type(self))

    def _engine_hooks(self) -> ServerHooks:
        """Return what the engine calls for each request."""
        return self

    def _thread_hooks(self) -> HooksInPlace:
        """Return what a thread calls for its request, if threads run them."""
        return HooksInPlace(ThreadHooks, BaseServer)

    def _has_service_actions(self) -> bool:
        """Whether `service_actions` was overridden, so that it has to be called."""
        ours = BaseServer.service_actions
        return getattr(self.service_actions, "__func__", None) is not ours

    def _finishes_as_all_do(self) -> bool:
        """Whether `finish_request` was not overridden, and need not be called."""
        return getattr(self.finish_request, "__func__", None) is _FINISH_REQUEST

    def _most_requests(self) -> float:
        """Return how many requests may run at once."""
        return self.max_concurrent_requests

    def _cancels_on_close(self) -> bool:
        """Whether closing the server cancels the requests that are running."""
        return self.daemon_requests

    async def _process_here(
        self, request: Request, client_address: ClientAddress
    ) -> bool:
        """Process what needs no handler. Return whether *request* was such."""
        return False

    def _note_handled(self) -> None:
        """Count a request whose handler has returned without an error."""

    def _where(self) -> str:
        return format_address(self.server_address)

    def _is_listening(self) -> bool:
        """Whether the listener is sound, whatever an error says."""
        return False

    def _check_not_waiting(self) -> None:
        if self._is_waiting:
            message = "handle_request() is waiting already: one at a time"
            raise AlreadyServingError(message)

    def _serves_queued(self) -> bool:
        """Whether closing serves the clients who are in the listen queue."""
        return (
            self._serving.has_served
            and not self._serving.is_closed
            and not self._cancels_on_close()
            and self._admission.is_open
        )

    @asynccontextmanager
    @trio.lowlevel.enable_ki_protection
    async def _open_for_queued(self) -> AsyncGenerator[None]:
        """Let queued requests be started after a `serve_forever` has ended, too."""
        if self._requests.is_entered or not self._serves_queued():
            yield
            return
        try:
            async with self._requests.open():
                yield
        finally:
            self._close_at_once()

    async def _start_queued(self) -> None:
        """Accept what waits in the listen queue, if there is one."""

    def _beside_requests(self) -> AbstractAsyncContextManager[None]:
        """Return what shall run for as long as requests may."""
        return nullcontext()

    def _note_idle(self) -> None:
        """Let go of what only running requests need: the last one has ended."""

    def _close_at_once(self) -> None:
        """Close the socket, and end the accept loop, without waiting for anything."""
        self._serving.close()

    async def _drain(self) -> None:
        cancel = self._cancels_on_close()
        await drain(self._requests, self, self._where(), cancel=cancel)


# What the class has now, and not what somebody may put in its place.
_FINISH_REQUEST: Final = BaseServer.finish_request
