"""The servers that are compared, ours first. Each is a module in `benchmarks.peers`."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from typing import Final

import attrs

# The one that all others are compared with.
OURS: Final = "trioserver"

STREAMS: Final = frozenset({"lines", "replies"})
DATAGRAMS: Final = frozenset({"datagrams"})
LINES: Final = frozenset({"lines"})


@attrs.frozen
class Contender:
    """A server that is compared."""

    name: str
    title: str
    services: frozenset[str]
    distribution: str | None = None
    """What has to be installed; None for what Python and this project bring."""

    @property
    def module(self) -> str:
        """The module that serves."""
        return f"benchmarks.peers.{self.name.replace('-', '_')}"

    @property
    def is_installed(self) -> bool:
        """Whether it can serve here."""
        return self.distribution is None or self.version is not None

    @property
    def version(self) -> str | None:
        """The version of its library, if that is installed."""
        if self.distribution is None:
            return None
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return None


CONTENDERS: Final = {
    contender.name: contender
    for contender in (
        Contender(OURS, "trioserver", STREAMS | DATAGRAMS),
        Contender("trioserver-plain", "trioserver, plain handler", DATAGRAMS),
        Contender("trioserver-sessions", "trioserver, sessions", DATAGRAMS),
        Contender("trioserver-threading", "trioserver, threads", STREAMS | DATAGRAMS),
        Contender("raw", "raw sockets (floor)", STREAMS | DATAGRAMS),
        Contender("trio", "trio.serve_tcp", STREAMS | DATAGRAMS, "trio"),
        Contender("asyncio-streams", "asyncio streams", STREAMS),
        Contender("asyncio-protocols", "asyncio protocols", STREAMS | DATAGRAMS),
        Contender("uvloop-streams", "uvloop streams", STREAMS, "uvloop"),
        Contender(
            "uvloop-protocols", "uvloop protocols", STREAMS | DATAGRAMS, "uvloop"
        ),
        Contender("anyio-trio", "anyio on Trio", STREAMS | DATAGRAMS, "anyio"),
        Contender("gevent", "gevent", STREAMS | DATAGRAMS, "gevent"),
        Contender("tornado", "Tornado", STREAMS, "tornado"),
        Contender("twisted", "Twisted", STREAMS | DATAGRAMS, "twisted"),
        Contender(
            "easynetwork", "EasyNetwork, asyncio", LINES | DATAGRAMS, "easynetwork"
        ),
        Contender(
            "easynetwork-trio", "EasyNetwork, Trio", LINES | DATAGRAMS, "easynetwork"
        ),
        Contender("socketserver", "socketserver, one at a time", DATAGRAMS),
        Contender(
            "socketserver-threading", "socketserver, threads", STREAMS | DATAGRAMS
        ),
    )
}


def missing(names: Iterable[str]) -> list[str]:
    """Return what would have to be installed for these contenders."""
    return sorted(
        {
            contender.distribution
            for contender in map(CONTENDERS.__getitem__, names)
            if contender.distribution and not contender.is_installed
        }
    )
