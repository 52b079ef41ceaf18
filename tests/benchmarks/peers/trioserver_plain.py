"""This library, with a handler that uses the request itself: no `rfile`, no `wfile`."""

from __future__ import annotations

import trioserver
from benchmarks.peers.service import HOST
from benchmarks.peers.trioserver import serve


class EchoDatagramHandler(trioserver.BaseRequestHandler):
    """Sends a datagram back."""

    async def handle(self) -> None:
        data, sock = self.request
        await sock.sendto(data, self.client_address)


SERVICES = {
    "datagrams": lambda: serve(trioserver.UDPServer((HOST, 0), EchoDatagramHandler)),
}
