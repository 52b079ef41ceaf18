"""Echo (RFC 862): whatever a client sends comes back to it.

Run ``python echo.py``, then type something into ``nc localhost 9999``.
"""

from __future__ import annotations

import sys
from contextlib import suppress

import trio

import trioserver


class EchoHandler(trioserver.BaseRequestHandler):
    async def handle(self) -> None:
        # Ends when the client has sent its last byte. What it has not got back yet, it
        # still gets: the server closes no connection before the reply has left.
        async for data in self.request:
            await self.request.send_all(data)


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9999
    server = trioserver.TCPServer(("localhost", port), EchoHandler)
    print("Echo on {}:{}".format(*server.server_address), flush=True)
    with suppress(KeyboardInterrupt):
        trio.run(server.serve)


if __name__ == "__main__":
    main()
