"""A name server of our own, which Trio asks instead of the system's."""

from __future__ import annotations

import socket

import trio

# Where all hosts are that it knows.
FOUND = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "fe80::7"}
SCOPE = 3


class NameServer(trio.abc.HostnameResolver):
    """Knows all hosts but ``nobody.example``; answers while its gate is open."""

    def __init__(self) -> None:
        self.gate = trio.Event()
        self.asked: list[tuple[object, ...]] = []
        self.cancelled = 0

    async def getaddrinfo(  # type: ignore[override]  # as Trio calls it
        self, host: bytes | None, port: int, *what: int
    ) -> list[object]:
        """Answer, as the system's does."""
        family, kind, proto, _flags = what
        self.asked.append((host, port, family, kind))
        try:
            await self.gate.wait()
        except trio.Cancelled:
            self.cancelled += 1
            raise
        if host == b"nobody.example":
            raise socket.gaierror(socket.EAI_NONAME, "no such host")
        rest = (0, SCOPE) if family == socket.AF_INET6 else ()
        there = FOUND[socket.AddressFamily(family)], port, *rest
        return [(family, kind, proto, "", there)]

    async def getnameinfo(self, *_: object) -> None:  # type: ignore[override]  # as above
        """Tell nobody anything."""


def ask_ours() -> NameServer:
    """Let this run of Trio's ask a name server that is returned."""
    ours = NameServer()
    trio.socket.set_custom_hostname_resolver(ours)
    return ours
