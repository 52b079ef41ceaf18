"""The examples of the documentation, served when no other handler is named."""

from __future__ import annotations

from trioserver._handlers.datagram import DatagramRequestHandler
from trioserver._handlers.stream import StreamRequestHandler


class UpperHandler(StreamRequestHandler):
    """Answers each line in upper case."""

    async def handle(self) -> None:
        """Read lines until the client has no more."""
        async for line in self.rfile:
            await self.wfile.write(line.upper())


class UpperDatagramHandler(DatagramRequestHandler):
    """Answers each datagram in upper case."""

    async def handle(self) -> None:
        """Answer one datagram."""
        self.wfile.write(self.packet.upper())
