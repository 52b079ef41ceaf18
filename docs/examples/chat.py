"""Chat: the first line is your name, every other one goes to everybody.

Run ``python chat.py``, then meet yourself in two windows: ``nc localhost 9999``.
"""

from __future__ import annotations

import sys
from contextlib import suppress

import trio

import trioserver


class ChatServer(trioserver.TCPServer):
    def __init__(self, port: int) -> None:
        super().__init__(("localhost", port), ChatHandler)
        self.members: set[trio.MemorySendChannel[bytes]] = set()

    def tell_all(self, line: bytes) -> None:
        for member in self.members:
            with suppress(trio.WouldBlock):
                member.send_nowait(line)


class ChatHandler(trioserver.StreamRequestHandler):
    server: ChatServer

    async def handle(self) -> None:
        name = (await self.rfile.readline(32)).strip()
        # Who reads slowly misses what is more than 100 lines ahead; nobody else waits.
        mailbox, letters = trio.open_memory_channel[bytes](100)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.deliver, letters)
            self.server.members.add(mailbox)
            self.server.tell_all(name + b" has come\n")
            try:
                async for line in self.rfile:
                    self.server.tell_all(name + b": " + line)
            finally:  # after the last line, or when the connection has broken
                self.server.members.remove(mailbox)
                self.server.tell_all(name + b" has left\n")
                mailbox.close()

    async def deliver(self, letters: trio.MemoryReceiveChannel[bytes]) -> None:
        async for line in letters:
            await self.wfile.write(line)


def main() -> None:
    server = ChatServer(int(sys.argv[1]) if len(sys.argv) > 1 else 9999)
    print("Chat on {}:{}".format(*server.server_address), flush=True)
    with suppress(KeyboardInterrupt):
        trio.run(server.serve)


if __name__ == "__main__":
    main()
