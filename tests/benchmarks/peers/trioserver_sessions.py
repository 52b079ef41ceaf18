"""This library, with a session for each client."""

from __future__ import annotations

import trioserver
from benchmarks.peers.service import HOST
from benchmarks.peers.trioserver import serve


class EchoSessionHandler(trioserver.DatagramSessionHandler):
    """Sends every datagram of a client back."""

    async def handle(self) -> None:
        async for data in self.session:
            await self.session.send(data)


SERVICES = {
    "datagrams": lambda: serve(
        trioserver.UDPSessionServer((HOST, 0), EchoSessionHandler)
    ),
}
