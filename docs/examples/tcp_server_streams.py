"""Answer each client's line in upper case, reading from a buffered stream.

Run it, then ask it: ``python tcp_client.py hello world``.
"""

from __future__ import annotations

import trio

import trioserver


class MyTCPHandler(trioserver.StreamRequestHandler):
    async def handle(self) -> None:
        # rfile puts the pieces together: here is a whole line, or the first 10000
        # bytes of one, so that nobody can fill the memory.
        self.data = (await self.rfile.readline(10000)).rstrip()
        print(f"{self.client_address[0]} wrote:")
        print(self.data.decode("utf-8"))
        # wfile is the way back. What is written to it is sent at once.
        await self.wfile.write(self.data.upper())


if __name__ == "__main__":
    HOST, PORT = "localhost", 9999

    with trioserver.TCPServer((HOST, PORT), MyTCPHandler) as server:
        trio.run(server.serve_forever)
