"""Test servers: run them, find what they leave behind, end them at every moment."""

from __future__ import annotations

from trioserver._testing.cancel_everywhere import cancel_everywhere
from trioserver._testing.connecting import connect, open_datagram_client
from trioserver._testing.datagram_client import DatagramClient
from trioserver._testing.injections import Injection, Kind
from trioserver._testing.leaks import LeakError, Snapshot, find_leaks
from trioserver._testing.link import Link
from trioserver._testing.memory_network import MemoryNetwork
from trioserver._testing.network import Network
from trioserver._testing.report import Failure, Report
from trioserver._testing.running import StillRunningError, running
from trioserver._testing.stream_client import StreamClient
from trioserver._testing.trial import Resettable, Trial

__all__ = [  # noqa: RUF022  # grouped by what they are for
    # run a server
    "running",
    "StillRunningError",
    "Network",
    "MemoryNetwork",
    "Link",
    # talk to it
    "connect",
    "StreamClient",
    "open_datagram_client",
    "DatagramClient",
    # find what is left behind
    "find_leaks",
    "LeakError",
    "Snapshot",
    # make trouble
    "cancel_everywhere",
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
