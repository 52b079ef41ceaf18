"""No call waits in Trio's thread, whatever somebody has made of the socket's mode."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import pytest

from kit.datagrams import ask, open_client
from kit.serving import serving
from trioserver import (
    BaseRequestHandler,
    DatagramSessionHandler,
    UDPServer,
    UDPSessionServer,
)
from trioserver._sockets.nonblocking import DONT_WAIT

LETTING_IT_WAIT: list[Callable[[socket.socket], None]] = [
    lambda sock: sock.settimeout(None),
    lambda sock: sock.settimeout(0.5),
    # As another process does that has it, too: this one's objects know nothing of it.
    lambda sock: os.set_blocking(sock.fileno(), True),
]


class WatchedSocket(socket.socket):
    """Notes each call that the system, or Python, would let wait; and lets none."""

    __slots__ = ()

    waiting: list[str] = []  # noqa: RUF012  # duplicates are told of, too

    def recvfrom(self, size: int, flags: int = 0, /) -> tuple[bytes, object]:
        return super().recvfrom(size, self._noted("recvfrom", flags))

    def recvmsg(  # type: ignore[override]  # as it is called here
        self, size: int, room: int, flags: int = 0, /
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, object]:
        return super().recvmsg(size, room, self._noted("recvmsg", flags))

    def sendto(self, data: bytes, flags: int, address: str, /) -> int:  # type: ignore[override]  # likewise
        return super().sendto(data, self._noted("sendto", flags), address)

    def sendmsg(  # type: ignore[override]  # likewise
        self, data: list[bytes], source: list[object], flags: int, address: str, /
    ) -> int:
        flags = self._noted("sendmsg", flags)
        return super().sendmsg(data, source, flags, address)  # type: ignore[arg-type]  # any item

    def _noted(self, call: str, flags: int) -> int:
        may_block = os.get_blocking(self.fileno()) and not flags & DONT_WAIT
        self.waiting.extend([call] if self.gettimeout() != 0 or may_block else [])
        return flags | DONT_WAIT


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    waiting: list[str] = []
    monkeypatch.setattr(WatchedSocket, "waiting", waiting)
    return waiting


def watched(server: UDPServer) -> UDPServer:
    server.socket.__class__ = WatchedSocket
    return server


@pytest.mark.parametrize("let_wait", LETTING_IT_WAIT, ids=["ever", "time-out", "other"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104  # not for long
@pytest.mark.parametrize("whose", ["the server's", "the handler's"])
async def test_a_handler_may_change_the_mode_of_the_socket(
    let_wait: Callable[[socket.socket], None],
    host: str,
    whose: str,
    nobody_waits: list[str],
) -> None:
    class Changing(BaseRequestHandler):
        async def handle(self) -> None:
            data, sock = self.request
            let_wait(server.socket if whose == "the server's" else sock.socket)
            await sock.sendto(data.upper(), self.client_address)

    server = watched(UDPServer((host, 0), Changing))
    async with serving(server):
        with open_client(server) as client:
            replies = [await ask(client, b"hello") for _ in range(3)]

    assert replies == [b"HELLO"] * 3
    assert nobody_waits == []


@pytest.mark.parametrize("let_wait", LETTING_IT_WAIT, ids=["ever", "time-out", "other"])
async def test_so_may_that_of_a_session(
    let_wait: Callable[[socket.socket], None], nobody_waits: list[str]
) -> None:
    class Changing(DatagramSessionHandler):
        async def handle(self) -> None:
            async for data in self.session:
                let_wait(server.socket)
                await self.session.send(data.upper())

    server = watched(UDPSessionServer(("127.0.0.1", 0), Changing))
    async with serving(server):
        with open_client(server) as client:
            replies = [await ask(client, b"hello") for _ in range(3)]

    assert replies == [b"HELLO"] * 3
    assert nobody_waits == []
