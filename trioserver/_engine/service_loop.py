"""Call ``service_actions()`` now and then, while a server is serving."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from trioserver._engine.hooks import settled
from trioserver._exception_groups import un_nested


async def accept_beside(
    accept: Callable[[], Awaitable[None]],
    service_actions: Callable[[], Awaitable[None]],
    interval: float,
) -> None:
    """Run *accept*, and await *service_actions* every *interval* seconds beside it.

    Neither returns. What either raises ends both, as it ends the loop in socketserver.
    """
    with un_nested():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_call_forever, service_actions, interval)
            await accept()


async def _call_forever(
    service_actions: Callable[[], Awaitable[None]], interval: float
) -> None:
    while True:
        await trio.sleep(interval)
        await settled(service_actions())
