"""Process one request in its thread, through the object's own hooks."""

from __future__ import annotations

import logging
import socketserver
import threading
from contextvars import copy_context
from functools import partial
from typing import final

from trioserver._bridge.checking import is_original
from trioserver._bridge.incoming import Incoming
from trioserver._bridge.loop_hooks import LoopHooks
from trioserver._engine.hooks import ClientAddress, Request
from trioserver._log import describe, log


@final
class StartedThreads(threading.local):
    """The threads that a ``process_request()`` has started in the calling thread.

    Takes the place of the list that `socketserver.ThreadingMixIn` keeps of them, so
    that nobody need guess whether an override has started one.
    """

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def append(self, thread: threading.Thread) -> None:
        """Note *thread*, which is about to be started.

        It works for the request of this thread, and gets the same context: who closes
        the server there waits for all other requests.
        """
        self._threads.append(thread)
        context, run = copy_context(), thread.run

        def run_in_context() -> None:
            del thread.run  # which would keep this, and so itself
            context.run(run)

        thread.run = run_in_context  # type: ignore[method-assign]  # of this one only

    def join(self) -> None:
        """Wait for those that were noted in this thread."""
        threads, self._threads = self._threads, []
        for thread in threads:
            if thread.ident is not None:  # or the system had no more threads
                thread.join()


@final
class Processor:
    """Takes requests through the object's hooks, each in the thread that calls it.

    The hooks report errors and shut the request down in that same thread, as existing
    code relies on.
    """

    __slots__ = ("_hooks", "_process", "_server", "started")

    def __init__(self, server: socketserver.TCPServer, hooks: LoopHooks) -> None:
        """Process the requests of *server*; *hooks* calls what its loop would call."""
        self.started = StartedThreads()
        """What the object is to see as its ``_threads``."""
        self._server = server
        self._hooks = hooks
        self._process = self._in_this_thread
        if isinstance(server, socketserver.ThreadingMixIn) and _only_starts(server):
            # There is a thread already.
            self._process = server.process_request_thread
            if is_original(server.process_request_thread):
                self._process = self._as_thread

    def process(self, incoming: Incoming, client_address: ClientAddress) -> None:
        """Verify and process a request, to its very end.

        Raises:
            BaseException: What is no `Exception`, and what ``handle_error()`` raises.
        """
        if self._verify(incoming, client_address):
            self._process(incoming.request, client_address)

    def _verify(self, incoming: Incoming, client_address: ClientAddress) -> bool:
        """Verify a request, and shut it down if it shall not be processed.

        Like in socketserver, but a ``verify_request()`` that raises is reported and
        ends nothing but the request.
        """
        server = self._server
        if is_original(server.verify_request):
            return True
        verify = partial(server.verify_request, incoming.request, client_address)
        is_verified = False
        try:
            is_verified = self._hooks.run(verify) and not incoming.is_interrupted
        except Exception:
            server.handle_error(incoming.request, client_address)
        finally:
            if not is_verified:
                self._shut_down(incoming.request)
        return is_verified

    def _as_thread(self, request: Request, client_address: ClientAddress) -> None:
        """Do what the thread of a request does in socketserver."""
        server = self._server
        try:
            server.finish_request(request, client_address)
        except Exception:
            server.handle_error(request, client_address)
        finally:
            self._shut_down(request)

    def _in_this_thread(self, request: Request, client_address: ClientAddress) -> None:
        """Do what the loop of socketserver does with a request that was verified.

        But shut it down even if ``handle_error()`` raises.
        """
        server = self._server
        try:
            server.process_request(request, client_address)
        except Exception:
            try:
                server.handle_error(request, client_address)
            finally:
                self._shut_down(request)
        except BaseException:
            self._shut_down(request)
            raise
        finally:
            self.started.join()

    def _shut_down(self, request: Request) -> None:
        """Shut *request* down. What the system says to that ends no server.

        Like in the threads of socketserver; without them, its server ends. The log
        gives a traceback, as `threading` does, if it is about more than a close: an
        override may write to a database.
        """
        server = self._server
        try:
            server.shutdown_request(request)
        except OSError as error:
            message = f"Shutting a request down said {describe(error)}"
            if is_original(server.shutdown_request) and is_original(
                server.close_request
            ):
                log(logging.DEBUG, message)
            else:
                log(logging.ERROR, message, error=error)


def _only_starts(server: socketserver.ThreadingMixIn) -> bool:
    """Whether ``process_request()`` is the original, which starts a thread."""
    function = getattr(server.process_request, "__func__", None)
    return function is socketserver.ThreadingMixIn.process_request
