"""The requests of one server in threads: what the engine calls in its hooks' place."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cached_property, partial
from typing import final

import trio

from trioserver._concurrency.request_sockets import Interruption
from trioserver._concurrency.server_proxy import TrioThread, make_proxy
from trioserver._concurrency.thread_hooks import HooksInPlace
from trioserver._concurrency.thread_run import ThreadRun, begin_run, run_of
from trioserver._concurrency.without_thread import (
    handle_error_here,
    let_nothing_wait,
)
from trioserver._concurrency.worker_threads import Job, WorkerThreads
from trioserver._engine.forceful_close import close_socket
from trioserver._engine.hooks import ClientAddress, Request, Server, settled
from trioserver._exception_groups import raise_unchanged


@final
class ThreadedRequests:
    """The engine's `ServerHooks` for a server whose requests run in threads.

    A request belongs to its task until a thread has begun with it, and to the thread
    from then on: the thread shuts it down, even if nobody waits for it any more.
    """

    def __init__(self, server: Server, in_place: HooksInPlace) -> None:
        """Run the requests of *server*, whose hooks are as *in_place* says."""
        self.threads = WorkerThreads(server.max_threads)
        """The threads."""
        self._server = server
        self._in_place = in_place
        self._trio_thread = TrioThread()

    @cached_property
    def proxy(self) -> Server:
        """The server as threads see it."""
        return make_proxy(self._server, self._trio_thread, self._in_place)

    # For the mix-in

    async def run(self, request: Request, client_address: ClientAddress) -> None:
        """Process *request* in a thread, as `WorkerThreads.run` does."""
        run = run_of(request)
        work = partial(self._process, run, client_address)
        with Interruption(request) as interruption:
            # Read now, as socketserver reads it when it starts a thread.
            abandon: bool = self._server.daemon_requests
            run.job = Job(work, interrupt=interruption.strike, abandon=abandon)
            await self.threads.run(run.job)

    # For the engine

    @property
    def cleanup_timeout(self) -> float:
        """The server's setting."""
        timeout: float = self._server.cleanup_timeout
        return timeout

    async def verify_request(
        self, request: Request, client_address: ClientAddress
    ) -> bool:
        """Return whether the request shall be processed."""
        self._trio_thread.token = trio.lowlevel.current_trio_token()
        verified = self._server.verify_request(request, client_address)
        return bool(await settled(verified))

    async def process_request(
        self, request: Request, client_address: ClientAddress
    ) -> None:
        """Process the request, and see who has to shut it down then.

        Cancellation:
            Returns if the thread was left alone: the request is no longer ours.
        """
        run = begin_run(request)
        try:
            await settled(self._server.process_request(request, client_address))
        except BaseException as error:
            if not run.is_left_to_thread(error):
                raise

    async def handle_error(
        self, request: Request, client_address: ClientAddress
    ) -> None:
        """Report what no thread has: what ``verify_request()`` raises, for one."""
        escaping, error = run_of(request).escaping, sys.exception()
        if error is not None and error is not escaping:
            hook = self.proxy.handle_error
            report = partial(hook, request, client_address)
            report_here = partial(
                handle_error_here, hook, request, client_address, error
            )
            await self._run_hook(
                request,
                partial(_call_while_handling, error, report),
                instead=partial(_call_while_handling, error, report_here),
            )
        if escaping is not None:
            raise_unchanged(escaping)

    async def shutdown_request(self, request: Request) -> None:
        """Shut the request down in a thread, if none has had it."""
        if not run_of(request).has_begun:
            await self._run_hook(
                request,
                partial(self._shut_down, request),
                instead=partial(self.proxy.close_request, request),
            )

    async def _run_hook(
        self,
        request: Request,
        hook: Callable[[], None],
        *,
        instead: Callable[[], object],
    ) -> None:
        """Call *hook* in a thread. Where there is none to have, call *instead* here.

        Then nobody waits for the client any more, who could keep Trio's thread.
        """
        interruption: Interruption

        def interrupt() -> None:
            interruption.strike()

        job = Job(hook, interrupt=interrupt)
        try:
            with Interruption(request) as interruption:
                await self.threads.run(job)
        except (OSError, RuntimeError):
            # The system is short of threads, or descriptors; process_request() has
            # said so.
            if job.has_begun:
                raise
        finally:
            if not job.has_begun:
                let_nothing_wait(request)
                instead()

    # In a thread

    def _process(self, run: ThreadRun, client_address: ClientAddress) -> None:
        with run.in_thread():
            process = self.proxy.process_request_thread
            _close_on_error(partial(process, run.request, client_address), run.request)

    def _shut_down(self, request: Request) -> None:
        _close_on_error(partial(self.proxy.shutdown_request, request), request)


def _call_while_handling(error: BaseException, hook: Callable[[], object]) -> None:
    """Call *hook* inside an "except", where ``sys.exception()`` is *error*."""
    try:
        raise_unchanged(error)
    except BaseException:  # the hook decides what becomes of it
        hook()
    finally:
        # The traceback has this frame now, and must not have itself.
        del error, hook


def _close_on_error(hook: Callable[[], object], request: Request) -> None:
    """Call *hook*, which closes *request*; close it all the same if that fails."""
    try:
        hook()
    except BaseException:
        close_socket(request)
        raise
