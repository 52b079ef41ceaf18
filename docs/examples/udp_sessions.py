"""Add up what each client sends; forget a client who is silent for a minute.

Run ``python udp_sessions.py``, then send it some numbers: ``nc -u localhost 9999``.
"""

from __future__ import annotations

import sys
from contextlib import suppress

import trio

import trioserver


class SumHandler(trioserver.DatagramSessionHandler):
    """Handles all datagrams of one client: its variables are that client's."""

    async def handle(self) -> None:
        total = 0
        async for data in self.session:
            try:
                total += int(data)
            except ValueError:
                continue  # Not a number, and not worth an answer.
            await self.session.send(b"%d\n" % total)
        # Nothing came for a minute, or the server stops.
        if self.session.end_reason == "expired":
            await self.session.send(b"%d in all, bye\n" % total)


class SumServer(trioserver.UDPSessionServer):
    session_timeout = 60


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9999
    server = SumServer(("localhost", port), SumHandler)
    print("Sums on {}:{}".format(*server.server_address), flush=True)
    with suppress(KeyboardInterrupt):
        trio.run(server.serve)
