"""Answer each client's line in upper case, reading from the request itself.

Run it, then ask it: ``python tcp_client.py hello world``.
"""

from __future__ import annotations

import trio

import trioserver


class MyTCPHandler(trioserver.BaseRequestHandler):
    """Handles one connection: the server makes a new object for each.

    What the server has to say to its clients stands in handle().
    """

    async def handle(self) -> None:
        # The request is the connection: a stream of bytes, which may come in pieces.
        pieces = [b""]
        total = 0
        while b"\n" not in pieces[-1] and total < 10_000:  # noqa: PLR2004  # bytes
            pieces.append(await self.request.receive_some(2000))
            total += len(pieces[-1])
            if not pieces[-1]:
                break  # The client will send no more, not even the end of the line.
        self.data = b"".join(pieces)
        print(f"Received from {self.client_address[0]}:")
        print(self.data.decode("utf-8"))
        # The answer is what came, in upper case.
        await self.request.send_all(self.data.upper())
        # The server closes the connection once this method has returned.


if __name__ == "__main__":
    HOST, PORT = "localhost", 9999

    # The server listens from here on, and no longer than this block lasts.
    with trioserver.TCPServer((HOST, PORT), MyTCPHandler) as server:
        # Serve one client and the next, and several at once, until Ctrl-C.
        trio.run(server.serve_forever)
