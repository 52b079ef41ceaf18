"""The standard library's example of a server with threads, and clients for it.

The handler and the clients need no change; ``ForkingMixIn`` is used in the same way.
"""

from __future__ import annotations

import socket
import socketserver
import threading

import trio

import trioserver


class ThreadedTCPRequestHandler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data = str(self.request.recv(1024), "ascii")
        cur_thread = threading.current_thread()
        response = bytes(f"{cur_thread.name}: {data}", "ascii")
        self.request.sendall(response)


class ThreadedTCPServer(trioserver.ThreadingMixIn, trioserver.TCPServer):
    pass


def client(ip: str, port: int, message: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.connect((ip, port))
        sock.sendall(bytes(message, "ascii"))
        response = str(sock.recv(1024), "ascii")
        print(f"Received: {response}")


async def main() -> None:
    # Any port that is free.
    HOST, PORT = "localhost", 0  # noqa: N806  # as they are there

    server = ThreadedTCPServer((HOST, PORT), ThreadedTCPRequestHandler)
    async with trio.open_nursery() as nursery:
        # The server is a task; each request gets a thread.
        await nursery.start(server.serve)
        ip, port = server.server_address

        for number in (1, 2, 3):
            await trio.to_thread.run_sync(client, ip, port, f"Hello World {number}")

        await server.shutdown()


if __name__ == "__main__":
    trio.run(main)
