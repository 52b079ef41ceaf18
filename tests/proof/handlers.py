"""What handlers do in the scenarios, once for each kind of handler.

They answer in upper case, and say what they need the scenario to know on the way.
"""

from __future__ import annotations

import socketserver
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from kit.serving import STUCK, UpperHandler
from kit.threads import UpperThreadDatagramHandler, UpperThreadHandler
from trioserver import (
    DatagramRequestHandler,
    DatagramSessionHandler,
    StreamRequestHandler,
)

# Its gate, above all.
AnyServer: TypeAlias = Any  # type: ignore[explicit-any]  # a server of any class

# A class of handlers, for all that calls it.
Handler: TypeAlias = Callable[..., object]  # type: ignore[explicit-any]  # any arguments

# More than the buffers of both kernels take.
LONG: Final = bytes(3_000_000)

HOLD: Final = b"hold\n"
GO: Final = b"go\n"


# Streams, in tasks


class BufferedHandler(UpperHandler):
    """Has something to send when it ends."""

    wbufsize = -1
    timeout = STUCK


class LongHandler(StreamRequestHandler):
    """Answers each line with more than a slow client has room for."""

    async def handle(self) -> None:
        async for _ in self.rfile:
            await self.wfile.write(LONG)


class FailingHandler(StreamRequestHandler):
    """Fails."""

    async def handle(self) -> None:
        raise LookupError(await self.rfile.readline())


class BadlyFinishingHandler(UpperHandler):
    """Fails when all is done."""

    async def finish(self) -> None:
        await super().finish()
        raise LookupError


class StoppingHandler(UpperHandler):
    """Stops the server from inside."""

    server: AnyServer

    async def handle(self) -> None:
        await super().handle()
        await self.server.shutdown()
        await self.server.server_close()


# Streams, in threads and in children


class LongThreadHandler(socketserver.StreamRequestHandler):
    """The same where it may block."""

    def handle(self) -> None:
        for _ in self.rfile:
            self.wfile.write(LONG)


class FailingThreadHandler(socketserver.StreamRequestHandler):
    """The same where it may block."""

    def handle(self) -> None:
        raise LookupError(self.rfile.readline())


class BadlyFinishingThreadHandler(UpperThreadHandler):
    """The same where it may block."""

    def finish(self) -> None:
        super().finish()
        raise LookupError


class BufferedThreadHandler(UpperThreadHandler):
    """The same where it may block."""

    wbufsize = -1
    timeout = STUCK


class StoppingThreadHandler(UpperThreadHandler):
    """The same where it may block."""

    def handle(self) -> None:
        super().handle()
        self.server.shutdown()
        self.server.server_close()


class AskingThreadHandler(UpperThreadHandler):
    """Waits for Trio, for the client, and for Trio again."""

    server: AnyServer

    def handle(self) -> None:
        self.server.handle_timeout()
        super().handle()
        self.server.handle_timeout()


# Datagrams, in tasks


class UpperDatagramHandler(DatagramRequestHandler):
    """Answers a datagram in upper case, or before and after the gate."""

    server: AnyServer

    async def handle(self) -> None:
        self.wfile.write(self.packet.upper())
        if self.packet == HOLD:
            await self.socket.sendto(self.packet.upper(), self.client_address)
            await self.server.gate.wait()
            self.wfile.seek(0)
            self.wfile.truncate()
            self.wfile.write(GO.upper())


class FailingDatagramHandler(DatagramRequestHandler):
    """Fails."""

    async def handle(self) -> None:
        self.wfile.write(self.packet)
        raise LookupError


class BadlyFinishingDatagramHandler(UpperDatagramHandler):
    """Fails when all is done."""

    async def finish(self) -> None:
        await super().finish()
        raise LookupError


# Datagrams, in threads and in children


class GateThreadDatagramHandler(UpperThreadDatagramHandler):
    """The same where it may block."""

    server: AnyServer

    def handle(self) -> None:
        if self.packet == HOLD:
            self.socket.sendto(self.packet.upper(), self.client_address)
            self.server.gate.wait_blocking()
            self.wfile.write(GO.upper())
        else:
            super().handle()


class FailingThreadDatagramHandler(socketserver.DatagramRequestHandler):
    """The same where it may block."""

    def handle(self) -> None:
        raise LookupError


class BadlyFinishingThreadDatagramHandler(GateThreadDatagramHandler):
    """The same where it may block."""

    def finish(self) -> None:
        super().finish()
        raise LookupError


# Sessions


class UpperSessionHandler(DatagramSessionHandler):
    """Answers each datagram of a peer."""

    server: AnyServer

    async def handle(self) -> None:
        async for data in self.session:
            await self.session.send(data.upper())
            if data == HOLD:
                await self.server.gate.wait()
                await self.session.send(GO.upper())


class FailingSessionHandler(DatagramSessionHandler):
    """Fails."""

    async def handle(self) -> None:
        raise LookupError(await self.session.receive())


class BadlyFinishingSessionHandler(UpperSessionHandler):
    """Fails when all is done."""

    async def finish(self) -> None:
        await super().finish()
        raise LookupError


HANDLERS: Final[Mapping[str, Mapping[str, Handler]]] = {
    "stream, tasks": {
        "upper": UpperHandler,
        "buffered": BufferedHandler,
        "long": LongHandler,
        "failing": FailingHandler,
        "finishing badly": BadlyFinishingHandler,
        "stopping": StoppingHandler,
    },
    "stream, blocking": {
        "upper": UpperThreadHandler,
        "buffered": BufferedThreadHandler,
        "long": LongThreadHandler,
        "failing": FailingThreadHandler,
        "finishing badly": BadlyFinishingThreadHandler,
        "stopping": StoppingThreadHandler,
        "asking": AskingThreadHandler,
    },
    "datagram, tasks": {
        "upper": UpperDatagramHandler,
        "failing": FailingDatagramHandler,
        "finishing badly": BadlyFinishingDatagramHandler,
    },
    "datagram, blocking": {
        "upper": GateThreadDatagramHandler,
        "failing": FailingThreadDatagramHandler,
        "finishing badly": BadlyFinishingThreadDatagramHandler,
    },
    "sessions": {
        "upper": UpperSessionHandler,
        "failing": FailingSessionHandler,
        "finishing badly": BadlyFinishingSessionHandler,
    },
}
"""For each kind of handler, what it can do."""
