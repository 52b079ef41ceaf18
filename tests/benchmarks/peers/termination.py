"""Run a server until SIGTERM, for contenders on Trio and on asyncio."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

import trio


async def serve_until_terminated(
    serve: Callable[[], Awaitable[object]],
) -> None:
    """Run *serve* in Trio, and cancel it at SIGTERM."""
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            nursery.start_soon(serve)
            async for _ in signals:
                nursery.cancel_scope.cancel()


async def wait_terminated() -> None:
    """Wait for SIGTERM in asyncio."""
    is_terminated = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, is_terminated.set)
    await is_terminated.wait()
