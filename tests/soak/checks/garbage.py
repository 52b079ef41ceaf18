"""Random input for every kind of server: they go on, and hold nothing of it."""

from __future__ import annotations

import socket
from typing import Final

import attrs
import trio

from soak.bench import Bench, figures_at_rest, number
from soak.loads.connecting import connect
from soak.probes import MIB
from soak.processes import Agent, Value
from soak.verdicts import Figure, Outcome, exactly


@attrs.frozen
class Target:
    """What is thrown garbage at."""

    service: str
    kind: str
    """See `soak.loads.garbage`."""

    clients: int
    question: bytes
    answer: bytes
    """How the answer to the question begins."""

    settings: dict[str, Value] = attrs.field(factory=dict)


TARGETS: Final = (
    Target("lines", "stream", 10_000, b"hello\n", b"HELLO\n"),
    Target("unix lines", "stream", 10_000, b"hello\n", b"HELLO\n"),
    Target("threads", "stream", 3_000, b"hello\n", b"HELLO\n"),
    Target("datagrams", "datagram", 20_000, b"hello", b"HELLO"),
    Target("unix datagrams", "datagram", 10_000, b"hello", b"HELLO"),
    Target(
        "sessions",
        "datagram",
        20_000,
        b"hello",
        b"HELLO",
        {"session_timeout": 0.3, "max_sessions": 200},
    ),
    Target("descriptors", "descriptors", 10_000, b"hello", b"0\n"),
    Target("web", "stream", 3_000, b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.0 200"),
)

# MiB that a server may grow by.
MOST_GROWTH: Final = 4.0

# Seconds that an answer may take.
PATIENCE: Final = 20.0


async def check_garbage(bench: Bench) -> Outcome:
    """Throw garbage at each of them."""
    figures: list[Figure] = []
    total = 0
    async with bench.server() as server, bench.clients() as clients:
        for target in TARGETS:
            count = bench.scaled(target.clients, least=20)
            bench.show(f"{count} clients with garbage for {target.service}")
            figures += await _throw(server, clients, target, count)
            total += count
    return Outcome("garbage", f"{total:,} clients".replace(",", " "), figures)


async def _throw(
    server: Agent, clients: Agent, target: Target, count: int
) -> list[Figure]:
    start = await server.ask("start", service=target.service, **target.settings)
    address = start["value"]
    # What is made once does not count.
    half = count // 2
    await clients.ask("garble", address=address, kind=target.kind, count=half, seed=0)
    before = await figures_at_rest(server)
    sent = await clients.number(
        "garble", address=address, kind=target.kind, count=half, seed=1
    )
    after = await figures_at_rest(server)
    grown = number(after, "memory") - number(before, "memory")
    answer = await _ask(address, target)
    return [
        Figure(f"{target.service}: sent", sent / MIB, "MiB", digits=1),
        Figure("grown by", grown / MIB, "MiB", most=MOST_GROWTH, digits=1),
        exactly(
            "descriptors", number(after, "descriptors"), number(before, "descriptors")
        ),
        exactly("tasks", number(after, "tasks"), number(before, "tasks")),
        exactly("answers after it", answer.startswith(target.answer), expected=1),
    ]


async def _ask(address: Value, target: Target) -> bytes:
    """Return what the server answers to somebody who means well."""
    kind = socket.SOCK_DGRAM if target.kind == "datagram" else socket.SOCK_STREAM
    with connect(address, kind) as sock, trio.fail_after(PATIENCE):
        sock.send(target.question)
        await trio.lowlevel.wait_readable(sock)
        return sock.recv(1000)
