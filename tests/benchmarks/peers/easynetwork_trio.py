"""EasyNetwork on Trio."""

from __future__ import annotations

from functools import partial

import trio
from easynetwork.servers import AsyncTCPNetworkServer, AsyncUDPNetworkServer

from benchmarks.peers.easynetwork import UpEvent, datagram_server, line_server
from benchmarks.peers.termination import serve_until_terminated


async def serve(server: AsyncTCPNetworkServer | AsyncUDPNetworkServer) -> None:
    """Serve until SIGTERM."""
    async with server:
        await serve_until_terminated(
            partial(server.serve_forever, is_up_event=UpEvent(server))
        )


SERVICES = {
    "lines": lambda: trio.run(serve, line_server("trio")),
    "datagrams": lambda: trio.run(serve, datagram_server("trio")),
}
