"""`Driver`: the engine, with the hooks of somebody else's server object."""

from __future__ import annotations

import logging
import math
import socketserver
import ssl
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Final, final

import attrs
import trio

from trioserver._bridge.checking import is_original
from trioserver._bridge.incoming import Incoming
from trioserver._bridge.loop_hooks import LoopHooks
from trioserver._bridge.processing import Processor
from trioserver._bridge.sources import source_of
from trioserver._bridge.stopping import StopEvent, is_asked_to_stop, shutdown_ends
from trioserver._bridge.taken_over import ClosingOnce, replaced
from trioserver._concurrency.without_thread import handle_error_here
from trioserver._concurrency.worker_threads import Job, WorkerThreads
from trioserver._engine.accept_queue import start_queued
from trioserver._engine.hooks import ClientAddress, Request
from trioserver._exception_groups import raise_unchanged
from trioserver._log import describe, escape, log
from trioserver._servers.base import BaseServer
from trioserver._sockets.close import close_socket

# Handshakes that may be going on beside the requests that are handled, so that clients
# who connect and say nothing leave room for others.
MAX_HANDSHAKES: Final = 100

# Seconds between the interruption of a daemon thread and leaving it alone. One that
# waits for its client is over in milliseconds; nobody will notice the others.
ABANDON_AFTER: Final = 0.25


@attrs.frozen
class DriverSettings:
    """What the caller of `serve_socketserver` has asked for."""

    max_concurrent_requests: float
    drain_timeout: float
    handshake_timeout: float
    poll_interval: float


@final
class Driver(BaseServer):
    """Runs the accept loop and the requests of one server object.

    To the engine it is a server like any other, whose requests are `Incoming`. Where
    the object's own hooks are called, the request is the object's.
    """

    def __init__(
        self, server: socketserver.TCPServer, settings: DriverSettings
    ) -> None:
        """Drive *server*, which `check_object` has found fit for it."""
        super().__init__(server.server_address, server.RequestHandlerClass)
        self._object = server
        self._settings = settings
        self._token = trio.lowlevel.current_trio_token()
        self._hooks = LoopHooks(self.cleanup_timeout)
        self._processor = Processor(server, self._hooks)
        self._close_object = ClosingOnce(server)
        self._stop_event = StopEvent(self._request_stop, self._may_wait)
        self._workers = WorkerThreads(settings.max_concurrent_requests)
        # Those in their handshakes have slots as well.
        self._handshakes = WorkerThreads(math.inf)
        self.max_concurrent_requests = settings.max_concurrent_requests
        if isinstance(server.socket, ssl.SSLSocket) and self.max_concurrent_requests:
            self.max_concurrent_requests += MAX_HANDSHAKES
        self.drain_timeout = settings.drain_timeout
        self.daemon_requests = getattr(server, "daemon_threads", False)
        self.block_on_close = getattr(server, "block_on_close", True)
        if not is_original(server.service_actions):
            self.service_actions = self._call_service_actions  # type: ignore[method-assign]  # only now the engine calls it
        self._source = source_of(server, self._hooks, self._where)

    # For serve_socketserver()

    async def serve_once(self, task_status: trio.TaskStatus[BaseServer]) -> None:
        """Serve until ``shutdown()``, then close the object."""
        try:
            with self._taken_over():
                async with self._entered():
                    await self._serve(task_status)
        finally:
            try:
                await self._hooks.call(self._close_object, abandon=True)
            except BaseException:
                # Ctrl-C strikes through every shield, and then nobody has called it.
                close_socket(self._object.socket)
                raise

    async def serve_and_leave_open(
        self, task_status: trio.TaskStatus[BaseServer]
    ) -> None:
        """Serve until ``shutdown()``, and leave the object as it was before."""
        with self._taken_over():
            await self._serve(task_status)

    # For the engine

    async def get_request(self) -> tuple[Request, ClientAddress]:
        """Wait for the next request of the object's."""
        try:
            incoming, client_address = await self._source.next()
        except OSError:
            if self._serving.is_closed:
                # The object's own get_request() has seen that: it ends the loop.
                await trio.lowlevel.checkpoint()
            raise
        if not self._requests.is_open:
            # Cancelled, while an overridden get_request() was given time to return.
            incoming.close()
            await trio.lowlevel.checkpoint()
        return incoming, client_address

    async def verify_request(
        self, request: Request, client_address: ClientAddress
    ) -> bool:
        """Do the TLS handshake, if there is one. The object verifies in its thread."""
        incoming: Incoming = request
        if not incoming.needs_handshake:
            return True
        try:
            await self._handshakes.run(
                Job(
                    partial(incoming.shake_hands, self._settings.handshake_timeout),
                    interrupt=incoming.interrupt,
                )
            )
        except OSError as error:
            # As in socketserver, where it looks like a failure to accept.
            log(
                logging.DEBUG,
                f"The TLS handshake with {escape(client_address)} has failed: "
                f"{describe(error)}",
            )
            incoming.close()
            return False
        return True

    async def process_request(
        self, request: Request, client_address: ClientAddress
    ) -> None:
        """Let the object process the request in a thread, and shut it down there."""
        incoming: Incoming = request
        over = trio.Event()

        def work() -> None:
            incoming.has_begun = True
            try:
                self._processor.process(incoming, client_address)
            finally:
                incoming.is_over = True
                with suppress(trio.RunFinishedError):
                    self._token.run_sync_soon(over.set)

        job = Job(work, interrupt=incoming.interrupt, abandon=self.daemon_requests)
        try:
            await self._workers.run(job)
        except trio.Cancelled:
            if job.has_begun:
                with trio.move_on_after(ABANDON_AFTER, shield=True):
                    await over.wait()
            raise
        finally:
            incoming.release()
            if is_asked_to_stop(self._object):
                self._serving.request_stop()

    async def handle_error(
        self, request: Request, client_address: ClientAddress
    ) -> None:
        """Raise what the object's own ``handle_error()`` has raised.

        If no thread could be had for the request, that hook is called here, and waits
        for no client, who could keep Trio's thread.
        """
        incoming: Incoming = request
        error = sys.exception()
        if incoming.has_begun and error is not None:
            raise_unchanged(error)
        incoming.let_nothing_wait()
        hook = self._object.handle_error
        handle_error_here(hook, incoming.request, client_address, error)

    async def shutdown_request(self, request: Request) -> None:
        """Close the request, unless the object has done so, or will."""
        request.close()

    # Stopping, by the object's own methods, and from any thread

    def _request_stop(self) -> None:
        """Ask the accept loop to end, from any thread."""
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._serving.request_stop)

    def _may_wait(self) -> bool:
        """Whether this thread may wait for Trio, and for the accept loop."""
        return not (trio.lowlevel.in_trio_run() or self._hooks.is_in_hook)

    def _server_close(self) -> None:
        """Take the place of the object's ``server_close()``: stop first, then call it.

        Like the original, which joins the threads of requests, this waits for them as
        ``block_on_close`` says; but not in Trio's own thread.
        """
        with suppress(trio.RunFinishedError):
            if self._may_wait():
                trio.from_thread.run(self.server_close, trio_token=self._token)
            else:
                self._token.run_sync_soon(self._close_at_once)
        self._close_object()

    # Inside

    @contextmanager
    def _taken_over(self) -> Generator[None]:
        """Put everything into place on the object, and take it away in the end."""
        with ExitStack() as stack:
            stack.callback(self._source.give_back, close=False)
            stack.enter_context(shutdown_ends(self._object, self._stop_event))
            if isinstance(self._object, socketserver.ThreadingMixIn):
                started = self._processor.started
                stack.enter_context(replaced(self._object, "_threads", started))
            close = self._server_close
            stack.enter_context(replaced(self._object, "server_close", close))
            if is_asked_to_stop(self._object):
                self._serving.request_stop()
            yield

    def _check_handler(self, handler: object) -> None:
        """Accept any: the object calls it, in a thread."""

    async def _serve(self, task_status: trio.TaskStatus[BaseServer]) -> None:
        try:
            await self.serve_forever(
                self._settings.poll_interval, task_status=task_status
            )
        finally:
            # A shutdown() that comes first leaves no accept loop that would say so, and
            # a handler of the queue's may wait for its end.
            self._stop_event.set()

    async def _accept(self, poll_interval: float) -> None:
        try:
            await super()._accept(poll_interval)
        finally:
            self._stop_event.set()

    async def _call_service_actions(self) -> None:
        await self._hooks.call(self._object.service_actions)

    async def _start_queued(self) -> None:
        # Without listen(0), which would take the queue away from others who may share
        # the socket: not more than can have been waiting.
        backlog = getattr(self._object, "request_queue_size", 0)
        places = iter(range(backlog + 1))
        await start_queued(
            lambda: next(places, None) is not None and self._source.has_queued(),
            self._get_request,
            self._requests.start,
            admission=self._admission,
            failures=self._failures,
            max_wait=self.drain_timeout,
            is_closed=lambda: self._serving.is_closed,
        )

    def _is_listening(self) -> bool:
        return self._source.is_sound()

    def _close_at_once(self) -> None:
        super()._close_at_once()
        self._source.give_back(close=True)
