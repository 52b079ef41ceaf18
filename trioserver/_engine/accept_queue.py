"""Take what waits in the listen queue, before the listener is closed.

The kernel has told those clients that they are connected. To close the listener
resets them (8 of 8, measured), and so does ``shutdown()`` on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from trioserver._engine.accept_failures import AcceptFailures
from trioserver._engine.accept_loop import GetRequest, StartRequest, accept_one
from trioserver._engine.admission import Admission
from trioserver._exceptions import ListenerBrokenError

# No queue is longer: the largest backlog that listen() is asked for.
MAX_QUEUED: Final = 0xFFFF

# Seconds. Only a shortage of descriptors, or a get_request() that waits for its
# client, takes any time here.
QUEUE_TIMEOUT: Final = 10.0


async def start_queued(
    has_queued: Callable[[], bool],
    get_request: GetRequest,
    start: StartRequest,
    *,
    admission: Admission,
    failures: AcceptFailures,
    max_wait: float,
    is_closed: Callable[[], bool],
) -> None:
    """Accept and start every request that waits in the queue.

    They are all accepted at once, so that the listener can be closed; those above the
    limit wait for their slots as tasks.

    Args:
        has_queued: Whether a request waits.
        get_request: Accepts it.
        start: Takes ownership of it. Does not wait.
        admission: Where the slots come from.
        failures: Decides what follows a failure.
        max_wait: Seconds to go on for, at the most.
        is_closed: Whether somebody has closed the server meanwhile: then there is no
            queue any more.

    Raises:
        ListenerBrokenError: If the listener will never accept again.
    """
    with trio.move_on_after(min(QUEUE_TIMEOUT, max_wait)):
        for _ in range(MAX_QUEUED):
            if not has_queued():
                return
            slot = admission.slot()
            try:
                pause = await accept_one(get_request, start, slot, failures)
            except (trio.ClosedResourceError, ListenerBrokenError):
                if is_closed():
                    return
                raise
            # A pass of the scheduler after each, even without a pause: tasks that begin
            # in one pass begin in any order, and these shall get their slots in turn.
            await trio.sleep(pause or 0)
