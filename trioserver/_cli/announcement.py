"""What is said when servers start and stop."""

from __future__ import annotations

import math
import signal
from collections.abc import Sequence
from typing import Final

from trioserver._cli.bind_address import BindAddress

# Addresses that a server can listen on, and that no client should connect to.
_ANY_ADDRESS: Final = {"0.0.0.0": "localhost", "::": "::1"}  # noqa: S104  # not bound here


def serving_lines(what: str, addresses: Sequence[BindAddress]) -> list[str]:
    """Return what to say once *what* is served on *addresses*."""
    first = addresses[0]
    client_host = _ANY_ADDRESS.get(first.host, first.host)
    return [
        *(f"Serving {what} on {address}" for address in addresses),
        f"To try it, type in another terminal: nc {client_host} {first.port}",
        "To stop it, press Ctrl-C here",
    ]


def stopping_line(signal_number: int, requests: int, drain_timeout: float) -> str:
    """Return what to say when the first signal has come.

    Args:
        signal_number: Which one.
        requests: The requests in flight.
        drain_timeout: Seconds that they may take to finish.
    """
    name = signal.Signals(signal_number).name
    if requests == 0:
        return f"{name}: stopping; no request is running"
    count = "1 request" if requests == 1 else f"{requests} requests"
    if drain_timeout == 0:
        return f"{name}: stopping at once; {count} cancelled"
    return (
        f"{name}: stopping; waiting for {count} to finish, {_limit(drain_timeout)}; "
        "a second signal stops at once"
    )


def _limit(seconds: float) -> str:
    return (
        "for as long as it takes" if seconds == math.inf else f"at most {seconds:g} s"
    )
