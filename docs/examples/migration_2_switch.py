"""Step 2: the server is trioserver's, and the handler stays as it is, in threads."""

from __future__ import annotations

import threading

import trio
from migration_0_before import StoreHandler

import trioserver


class StoreServer(trioserver.ThreadingTCPServer):
    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, StoreHandler)
        self.values: dict[str, list[str]] = {}
        self.lock = threading.Lock()

    async def verify_request(
        self, request: object, client_address: tuple[str, int]
    ) -> bool:
        return client_address[0] == "127.0.0.1"

    def answer(self, command: str, name: str, value: list[str]) -> str:
        with self.lock:
            if command == "set":
                self.values[name] = value
            return " ".join(self.values.get(name, ["?"])) + "\n"


if __name__ == "__main__":
    trio.run(StoreServer(("127.0.0.1", 9999)).serve)
