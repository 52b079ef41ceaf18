"""Answer each datagram in upper case.

Run it, then ask it: ``python udp_client.py hello world``.
"""

from __future__ import annotations

import trio

import trioserver


class MyUDPHandler(trioserver.BaseRequestHandler):
    """Handles one datagram: the server makes a new object for each.

    There is no connection, so whoever answers has to say to whom.
    """

    async def handle(self) -> None:
        # The request is the datagram, and what replies to it are sent with.
        data, socket = self.request
        print(f"{self.client_address[0]} wrote:")
        print(data.strip().decode("utf-8"))
        await socket.sendto(data.strip().upper(), self.client_address)


if __name__ == "__main__":
    HOST, PORT = "localhost", 9999

    with trioserver.UDPServer((HOST, PORT), MyUDPHandler) as server:
        # Answer one and the next, and several at once, until Ctrl-C.
        trio.run(server.serve_forever)
