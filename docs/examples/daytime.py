"""Daytime (RFC 867): tell each client the date and the time, then hang up.

Run ``python daytime.py``, then ask it: ``nc localhost 9999``.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import UTC, datetime

import trio

import trioserver


class DaytimeHandler(trioserver.StreamRequestHandler):
    async def handle(self) -> None:
        # The RFC asks for one line of ASCII, and leaves its form to the server.
        now = datetime.now(UTC)
        await self.wfile.write(now.strftime("%Y-%m-%d %H:%M:%S UTC\r\n").encode())


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9999
    server = trioserver.TCPServer(("localhost", port), DaytimeHandler)
    print("Daytime on {}:{}".format(*server.server_address), flush=True)
    with suppress(KeyboardInterrupt):
        trio.run(server.serve)


if __name__ == "__main__":
    main()
