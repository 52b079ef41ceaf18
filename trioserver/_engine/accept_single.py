"""Accept one request, within a time: what ``handle_request()`` waits for."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import trio

from trioserver._engine.accept_failures import AcceptFailures
from trioserver._engine.accept_loop import GetRequest, accept_one
from trioserver._engine.admission import Slot
from trioserver._engine.hooks import ClientAddress, Request
from trioserver._exceptions import ListenerBrokenError, ServerClosedError


@attrs.frozen
class Accepted:
    """What came of it: one request, or a failure, or nothing in time."""

    requests: list[tuple[Request, ClientAddress, Slot]]
    """The request, if there is one, with its address and its slot."""

    pause: float | None
    """After a failure, the seconds to wait before the next try."""

    timed_out: bool
    """Whether nobody came in time."""


@trio.lowlevel.enable_ki_protection
async def accept_single(
    get_request: GetRequest,
    slot: Slot,
    failures: AcceptFailures,
    *,
    max_wait: float | None,
    is_closed: Callable[[], bool],
) -> Accepted:
    """Take *slot* and accept one request.

    Args:
        get_request: Waits for it.
        slot: Released, unless a request comes.
        failures: Decides what follows a failure.
        max_wait: Seconds to wait for both. None: for ever. With 0, a client who is
            there already is accepted, as in socketserver.
        is_closed: Whether the server was closed, so that no listener is to blame.

    Raises:
        ListenerBrokenError: If the listener will never accept again.
        ServerClosedError: If it was closed meanwhile.

    Cancellation:
        Nothing was accepted.
    """
    requests: list[tuple[Request, ClientAddress, Slot]] = []
    pause: float | None = None

    def start(request: Request, client_address: ClientAddress, slot: Slot) -> None:
        requests.append((request, client_address, slot))

    with trio.CancelScope() as waiting:
        # A deadline that has passed when a scope is entered cancels it at once; this
        # one cancels what has to wait.
        wait = math.inf if max_wait is None else max_wait
        waiting.deadline = trio.current_time() + wait
        await slot.take()
        try:
            pause = await accept_one(get_request, start, slot, failures)
        except (trio.ClosedResourceError, ListenerBrokenError) as error:
            # Closed after a request has come, and before it was accepted, it is broken.
            if isinstance(error, ListenerBrokenError) and not is_closed():
                raise
            message = "the server was closed while it waited for a request"
            raise ServerClosedError(message) from error
    return Accepted(requests, pause, waiting.cancelled_caught)
