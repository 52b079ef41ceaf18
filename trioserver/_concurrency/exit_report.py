"""Tell the log how a child has ended, if that was not well."""

from __future__ import annotations

import logging
import signal
from typing import Final

from trioserver._concurrency.child_process import ExitStatus
from trioserver._concurrency.forked_child import TERMINATED
from trioserver._engine.hooks import ClientAddress
from trioserver._log import escape, log

# How a child ends that is sent SIGTERM: by the signal itself, or by what it does on it.
_ENDS_OF_TERMINATION: Final = frozenset({-signal.SIGTERM, TERMINATED})


def report_exit(
    pid: int | None,
    status: ExitStatus | None,
    note: tuple[int, str] | None,
    client_address: ClientAddress,
) -> None:
    """Log the end of the child *pid*, unless all went well or it never began.

    Args:
        pid: Its number.
        status: How it has ended.
        note: What it has left behind: a level of the log, and why it has ended.
        client_address: Whose request it has handled.
    """
    if status is None or status.code == 0:
        return
    level, reason = _verdict(status, note)
    client = escape(client_address)
    log(level, f"Child process {pid}, for the request from {client}, {reason}")


def _verdict(status: ExitStatus, note: tuple[int, str] | None) -> tuple[int, str]:
    code = status.code
    if code is None:
        return logging.WARNING, (
            "was reaped by somebody else, so that nobody knows how it has ended"
        )
    if status.ended_by is signal.SIGKILL:
        return logging.WARNING, "did not end when it was told to, and was killed"
    if status.ended_by is not None and code in _ENDS_OF_TERMINATION:
        return logging.DEBUG, "was ended with SIGTERM"
    if code < 0:
        return logging.ERROR, f"was killed by {_name(-code)}"
    level, text = note or (logging.ERROR, "it says no more")
    return level, f"ended with exit code {code}: {text}"


def _name(number: int) -> str:
    """Return the name of a signal; those for real time have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
