"""What happens inside a forked child, from its first line to its exit."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
from typing import Final, NoReturn, final

import attrs

from trioserver._concurrency.child_request import (
    descriptors_of,
    for_asynchronous_handler,
    for_synchronous_handler,
)
from trioserver._concurrency.child_run import ChildRun, TerminatedError
from trioserver._concurrency.exit_note import ExitNote
from trioserver._concurrency.isolation import isolate
from trioserver._concurrency.standard_streams import flush_standard_streams
from trioserver._engine.admission import Admission
from trioserver._engine.error_report import level_of
from trioserver._engine.hooks import ClientAddress, Request, Server, settled
from trioserver._engine.request import run_request
from trioserver._exception_groups import leaves
from trioserver._log import describe, escape, log

# The exit code after an error, as socketserver's and Python's own.
FAILURE: Final = 1

# Exit codes that tell of a signal, as shells have them.
_INTERRUPTED: Final = 128 + signal.SIGINT
TERMINATED: Final = 128 + signal.SIGTERM


@final
@attrs.frozen
class ForkedChild:
    """The life of a child that handles one request."""

    server: Server
    view: Server | None
    """The same for a synchronous handler; None with an asynchronous one."""
    request: Request
    client_address: ClientAddress
    note: ExitNote

    def run(self) -> NoReturn:
        """Handle the request, and exit. Never return to what the parent was doing.

        Each of the two endings is for an interrupt in the one before.
        """
        code = FAILURE
        try:
            try:
                code = self._exit_code()
            finally:
                _leave(code)
        finally:
            os._exit(code)

    def _exit_code(self) -> int:
        try:
            isolate(set(descriptors_of(self.request)))
            if self.view is None:
                ChildRun(self._handle_asynchronously).run()
            else:
                self._handle_synchronously(self.view)
        except BaseException as error:  # nobody is there to raise it to
            return self._end_with(error)
        return 0 if self.note.read() is None else FAILURE

    async def _handle_asynchronously(self) -> None:
        hooks = _ChildHooks(self.server, self.note)
        # Its slot is the parent's.
        slot = Admission(math.inf).slot()
        request = for_asynchronous_handler(self.request)
        await run_request(hooks, request, self.client_address, slot)

    def _handle_synchronously(self, view: Server) -> None:
        """Call the hooks in the order of socketserver's child process."""
        request = for_synchronous_handler(self.request)
        try:
            view.finish_request(request, self.client_address)
        except Exception as error:
            note_error(self.note, request, error)
            view.handle_error(request, self.client_address)
        finally:
            view.shutdown_request(request)

    def _end_with(self, error: BaseException) -> int:
        """Note what has escaped from all that handles errors. Return the exit code."""
        code, level = _meaning(error)
        if code:
            why = "SIGTERM" if code == TERMINATED else describe_leaves(error)
            self.note.write(level, why)
        if level >= logging.ERROR:
            client = escape(self.client_address)
            log(
                level,
                f"A child process ends: it cannot handle an error in the request from "
                f"{client}",
                error=error,
            )
        return code


@attrs.define
class _ChildHooks:
    """The server's hooks, of which one ends the child with a note."""

    _server: Server
    _note: ExitNote
    cleanup_timeout: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.cleanup_timeout = self._server.cleanup_timeout

    async def verify_request(
        self,
        request: Request,  # noqa: ARG002  # as the engine calls it
        client_address: ClientAddress,  # noqa: ARG002  # likewise
    ) -> bool:
        """Return True: the parent has verified it."""
        return True

    async def process_request(
        self, request: Request, client_address: ClientAddress
    ) -> None:
        """Finish the request and shut it down."""
        await settled(self._server.finish_request(request, client_address))
        await settled(self._server.shutdown_request(request))

    async def handle_error(
        self, request: Request, client_address: ClientAddress
    ) -> None:
        """Note the error for the parent, and let the server handle it."""
        error = sys.exception()
        assert error is not None  # noqa: S101  # what is to be handled
        note_error(self._note, request, error)
        await settled(self._server.handle_error(request, client_address))

    async def shutdown_request(self, request: Request) -> None:
        """Shut the request down."""
        await settled(self._server.shutdown_request(request))


def note_error(note: ExitNote, request: Request, error: BaseException) -> None:
    """Note an *error* that ``handle_error()`` is about to handle.

    The parent mentions it, and no louder than a warning: it is handled.
    """
    level = min(level_of(request, error), logging.WARNING)
    note.write(level, describe_leaves(error))


def describe_leaves(error: BaseException) -> str:
    """Return what *error* is; of a group, what is in it."""
    return "; ".join(describe(leaf) for leaf in leaves(error))


def _meaning(error: BaseException) -> tuple[int, int]:
    """Return the exit code that *error* stands for, and its level in the log."""
    for leaf in leaves(error):
        if isinstance(leaf, SystemExit):
            return _code_of_exit(leaf), logging.WARNING
        if isinstance(leaf, KeyboardInterrupt):
            return _INTERRUPTED, logging.INFO
        if isinstance(leaf, TerminatedError):
            return TERMINATED, logging.INFO
    return FAILURE, logging.ERROR


def _code_of_exit(error: SystemExit) -> int:
    """Return the exit code as Python itself reads it."""
    if error.code is None:
        return 0
    return error.code & 0xFF if isinstance(error.code, int) else FAILURE


def _leave(code: int) -> NoReturn:
    """Exit, without unwinding what the parent was doing, and without its atexit."""
    try:
        # It is ending, with what it has written and its own exit code.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        flush_standard_streams()
    finally:
        os._exit(code)
