"""Open the epoll of a server, and wait for it, although either can fail."""

from __future__ import annotations

import logging
import select
from typing import Final

import trio

from trioserver._log import describe, log

# Seconds between two looks at the connections while Trio cannot wait for all of them.
_WAIT_PAUSE: Final = 0.1


def open_epoll() -> select.epoll | None:
    """Return a new epoll; None if there can be none."""
    try:
        return select.epoll()
    except OSError as error:
        log(logging.DEBUG, f"Waiting without an epoll: {describe(error)}")
        return None


async def wait_for_events(epoll: select.epoll) -> None:
    """Wait until something may be ready in *epoll*.

    Trio needs a place for it in its own: epoll_ctl(2) has ENOMEM, and ENOSPC at the
    limit of max_user_watches. The connections are looked at now and then, meanwhile.
    """
    try:
        await trio.lowlevel.wait_readable(epoll)
    except OSError as error:
        log(logging.DEBUG, f"Waiting for some time only: {describe(error)}")
        await trio.sleep(_WAIT_PAUSE)
