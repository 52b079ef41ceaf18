"""End the requests in flight: join them, cancel them, or leave them alone."""

from __future__ import annotations

import logging
from typing import Protocol

import trio

from trioserver._engine.requests_in_flight import RequestsInFlight
from trioserver._log import log


class DrainPolicy(Protocol):
    """The settings of a server that say what becomes of its requests."""

    block_on_close: bool
    drain_timeout: float


async def drain(
    requests: RequestsInFlight, policy: DrainPolicy, where: str, *, cancel: bool
) -> None:
    """End *requests* as *policy* says, and return when they have ended.

    Args:
        requests: What to end.
        policy: ``block_on_close`` joins, and cancels after ``drain_timeout`` seconds;
            without it, nothing is done.
        where: The server's address, for the log.
        cancel: Whether to cancel at once instead.

    Cancellation:
        The requests go on.
    """
    if cancel:
        requests.cancel()
        await requests.wait_ended()
    elif policy.block_on_close:
        with trio.move_on_after(policy.drain_timeout) as draining:
            await requests.wait_ended()
        if draining.cancelled_caught:
            _give_up(requests, policy, where)
            await requests.wait_ended()


def _give_up(requests: RequestsInFlight, policy: DrainPolicy, where: str) -> None:
    """Cancel what did not end in time, and say so once."""
    if not requests.is_cancelled:
        log(
            logging.WARNING,
            f"The drain_timeout of {policy.drain_timeout:g} s is over on {where}: "
            f"cancelling what still runs (requests: {len(requests)})",
        )
    requests.cancel()
