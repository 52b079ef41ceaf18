"""Close a request that nobody else will close."""

from __future__ import annotations

import logging

import trio

from trioserver._engine.hooks import Request
from trioserver._log import describe, log


async def close_forcefully(request: Request) -> None:
    """Close *request* without waiting for anything, if it is something to close.

    Like `trio.aclose_forcefully`, but it cannot fail, and a cancelled task may call it.
    """
    if not isinstance(request, trio.abc.AsyncResource):
        return
    try:
        with trio.CancelScope(shield=True) as scope:
            scope.cancel()
            await request.aclose()
    except Exception as error:
        log(logging.DEBUG, f"Closing a request by force said {describe(error)}")
