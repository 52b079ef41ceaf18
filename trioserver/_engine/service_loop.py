"""Call ``service_actions()`` now and then, while a server is serving."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from trioserver._engine.hooks import settled
from trioserver._exception_groups import un_nested


@asynccontextmanager
async def service_actions_running(
    service_actions: Callable[[], Awaitable[None]], interval: float
) -> AsyncGenerator[None]:
    """Await *service_actions* every *interval* seconds while the block runs.

    What it raises ends the block, as it ends the loop in socketserver.
    """
    with un_nested():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_call_forever, service_actions, interval)
            yield
            nursery.cancel_scope.cancel()


async def _call_forever(
    service_actions: Callable[[], Awaitable[None]], interval: float
) -> None:
    while True:
        await trio.sleep(interval)
        await settled(service_actions())
