"""asyncio's streams.

https://docs.python.org/3/library/asyncio-stream.html#tcp-echo-server-using-streams
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from benchmarks.peers.service import HOST, announce, reply_to
from benchmarks.peers.termination import wait_terminated


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send each line back."""
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each line with many bytes."""
    while line := await reader.readline():
        writer.write(reply_to(line))
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def serve(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> None:
    """Serve until SIGTERM."""
    server = await asyncio.start_server(handler, HOST, 0)
    announce(server.sockets[0].getsockname()[1])
    serving = asyncio.create_task(server.serve_forever())
    await wait_terminated()
    # What run() cancels at its end are the handlers, and this task, which would wait
    # for them.
    serving.cancel()


def services(
    run: Callable[[Coroutine[object, object, None]], object],
) -> dict[str, Callable[[], object]]:
    """Return the services on the event loop that *run* makes."""
    return {"lines": lambda: run(serve(echo)), "replies": lambda: run(serve(reply))}


SERVICES = services(asyncio.run)
