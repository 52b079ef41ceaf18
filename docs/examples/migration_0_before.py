"""A key-value store as it was written for socketserver: threads, and a lock.

Run it, then ask it: ``nc localhost 9999``, and type ``set name value`` or ``get name``.
"""

from __future__ import annotations

import socketserver
import threading


class StoreHandler(socketserver.StreamRequestHandler):
    server: StoreServer

    def handle(self) -> None:
        for line in self.rfile:
            command, name, *value = line.decode().split()
            self.wfile.write(self.server.answer(command, name, value).encode())


class StoreServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, StoreHandler)
        self.values: dict[str, list[str]] = {}
        self.lock = threading.Lock()

    def verify_request(self, request: object, client_address: tuple[str, int]) -> bool:
        return client_address[0] == "127.0.0.1"

    def answer(self, command: str, name: str, value: list[str]) -> str:
        with self.lock:
            if command == "set":
                self.values[name] = value
            return " ".join(self.values.get(name, ["?"])) + "\n"


if __name__ == "__main__":
    with StoreServer(("127.0.0.1", 9999)) as server:
        server.serve_forever()
