"""Accept requests and start them, until somebody ends it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from trioserver._engine.accept_failures import AcceptFailures
from trioserver._engine.admission import Admission, Slot
from trioserver._engine.forceful_close import close_forcefully
from trioserver._engine.hooks import ClientAddress, Request

# Connections taken from a full queue before other tasks run. Each costs some 30 µs
# here, so that nobody waits for longer than half a millisecond.
ACCEPT_BATCH: Final = 16

# Returns a request that is there already, without waiting.
GetQueued = Callable[[], tuple[Request, ClientAddress] | None]
GetRequest = Callable[[], Awaitable[tuple[Request, ClientAddress]]]
StartRequest = Callable[[Request, ClientAddress, Slot], None]


# Ctrl-C may not strike between accept() and the start of the request's task.
@trio.lowlevel.enable_ki_protection
async def accept_forever(
    get_request: GetRequest,
    start: StartRequest,
    admission: Admission,
    failures: AcceptFailures,
    *,
    get_queued: GetQueued = lambda: None,
) -> None:
    """Accept requests and start each one.

    A slot is taken before a request is accepted, so that the listen queue, and not
    this process, holds the requests that have to wait.

    Args:
        get_request: Waits for the next request.
        start: Takes ownership of it. Does not wait.
        admission: Where the slots come from.
        failures: Decides what follows a failure.
        get_queued: Asked first, after each request; fails as *get_request* does.

    Raises:
        ListenerBrokenError: If the listener will never accept again.
        trio.ClosedResourceError: If it was closed, or requests cannot start any more.
        Exception: Whatever else *get_request* raises.
    """
    while True:
        for _ in range(ACCEPT_BATCH):
            slot = admission.slot()
            if not slot.take_nowait():
                await slot.take()
            pause = await accept_one(
                get_request, start, slot, failures, get_queued=get_queued
            )
            if pause is not None:
                await trio.sleep(pause)
        await trio.lowlevel.checkpoint()


@trio.lowlevel.enable_ki_protection
async def accept_one(
    get_request: GetRequest,
    start: StartRequest,
    slot: Slot,
    failures: AcceptFailures,
    *,
    get_queued: GetQueued = lambda: None,
) -> float | None:
    """Accept one request and start it with *slot*, or release the slot.

    Returns:
        None, or after a failure the seconds to wait before the next try.
    """
    try:
        request, client_address = get_queued() or await get_request()
    except (OSError, trio.BrokenResourceError) as error:
        slot.release()
        return failures.pause_after(error)
    except BaseException:
        slot.release()
        raise
    failures.note_success()
    if slot.is_over_limit:
        # The limit was lowered while we waited for this request: its task waits.
        slot.release()
    try:
        start(request, client_address, slot)
    except BaseException:
        slot.release()
        await close_forcefully(request)
        raise
    return None
