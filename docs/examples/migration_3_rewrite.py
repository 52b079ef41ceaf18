"""Step 3: the handler is asynchronous: no threads, and no lock."""

from __future__ import annotations

import trio

import trioserver


class StoreHandler(trioserver.StreamRequestHandler):
    server: StoreServer

    async def handle(self) -> None:
        async for line in self.rfile:
            command, name, *value = line.decode().split()
            await self.wfile.write(self.server.answer(command, name, value).encode())


class StoreServer(trioserver.TCPServer):
    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, StoreHandler)
        self.values: dict[str, list[str]] = {}

    async def verify_request(
        self, request: object, client_address: tuple[str, int]
    ) -> bool:
        return client_address[0] == "127.0.0.1"

    def answer(self, command: str, name: str, value: list[str]) -> str:
        # No await, so that no other task can come in between.
        if command == "set":
            self.values[name] = value
        return " ".join(self.values.get(name, ["?"])) + "\n"


if __name__ == "__main__":
    trio.run(StoreServer(("127.0.0.1", 9999)).serve)
