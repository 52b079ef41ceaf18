"""Test servers: run them, find what they leave behind, end them at every moment."""

from __future__ import annotations

from trioserver._testing.cancel_everywhere import cancel_everywhere
from trioserver._testing.fail_everywhere import fail_everywhere
from trioserver._testing.injections import Injection, Kind
from trioserver._testing.leaks import LeakError, Snapshot, find_leaks
from trioserver._testing.network import Network
from trioserver._testing.report import Failure, Report
from trioserver._testing.running import StillRunningError, running
from trioserver._testing.trial import Resettable, Trial

__all__ = [  # noqa: RUF022  # grouped by what they are for
    # run a server
    "running",
    "StillRunningError",
    "Network",
    # find what is left behind
    "find_leaks",
    "LeakError",
    "Snapshot",
    # make trouble
    "cancel_everywhere",
    "fail_everywhere",
    "Kind",
    "Injection",
    "Trial",
    "Resettable",
    "Report",
    "Failure",
]

# Tracebacks, pickles and the documentation name the public home of each.
for _name in __all__:
    globals()[_name].__module__ = __name__
