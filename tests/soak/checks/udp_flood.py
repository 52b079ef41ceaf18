"""Floods of datagrams, and forged ones: bounded memory, and a quiet log."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from typing import Final

import attrs
import trio

from soak.bench import Bench, number
from soak.innocent import served_meanwhile
from soak.probes import MIB
from soak.processes import Agent, Value
from soak.verdicts import Figure, Outcome, exactly

# Seconds of each flood, and the processes that send.
SECONDS: Final = 15.0
SENDERS: Final = 2

FORGED: Final = 20_000


@attrs.frozen
class Flood:
    """Of what, from where, and how many MiB the server may grow by."""

    service: str
    everywhere: bool
    most_growth: float
    settings: dict[str, Value] = attrs.field(factory=dict)


# Each of twice as many sessions, those that are ending included, has a queue of its
# own: 16 datagrams of 600 bytes. What they may take is what the settings say.
FLOODS: Final = (
    Flood("datagrams", everywhere=False, most_growth=5.0),
    Flood(
        "sessions",
        everywhere=True,
        most_growth=5.0 + 200 * 16 * 600 / MIB,
        settings={"max_sessions": 100},
    ),
)


async def check_udp_flood(bench: Bench) -> Outcome:
    """Flood two kinds of server; forge datagrams of the server's own."""
    seconds = bench.seconds(SECONDS, 0.3)
    figures: list[Figure] = []
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(bench.server())
        senders = [
            await stack.enter_async_context(bench.clients()) for _ in range(SENDERS)
        ]
        for flood in FLOODS:
            bench.show(f"a flood for {flood.service}")
            figures += await _flood(server, senders, flood, seconds)
        figures += await _forge(server, bench.scaled(FORGED, least=1000))
    return Outcome("udp-flood", f"{seconds:.0f} s each of {SENDERS} senders", figures)


async def _flood(
    server: Agent, senders: list[Agent], flood: Flood, seconds: float
) -> list[Figure]:
    lines_address = (await server.ask("start_once", service="lines"))["value"]
    start = await server.ask("start", service=flood.service, **flood.settings)
    address = start["value"]
    before = number(await server.ask("figures_now"), "memory")
    lines_before = len(_lines(server))
    began = trio.current_time()
    sent: list[float] = []

    async def send(sender: Agent) -> None:
        count = await sender.number(
            "flood", address=address, seconds=seconds, everywhere=flood.everywhere
        )
        sent.append(count)

    async with served_meanwhile(lines_address) as innocent:
        async with trio.open_nursery() as nursery:
            for sender in senders:
                nursery.start_soon(send, sender)
    took = trio.current_time() - began
    after = number(await server.ask("figures_now"), "memory")
    counts = await server.ask("statistics", service=flood.service)
    return [
        Figure(f"{flood.service}: sent", sum(sent)),
        Figure("received", number(counts, "received"), least=1),
        Figure("dropped and counted", _dropped(counts)),
        Figure(
            "grown by",
            (after - before) / MIB,
            "MiB",
            most=flood.most_growth,
            digits=1,
        ),
        _most_of_a_kind(_lines(server)[lines_before:], took),
        *innocent.figures(),
    ]


def _dropped(counts: dict[str, Value]) -> float:
    """Return how many were not handled, for whatever reason."""
    reasons = ("dropped_by_kernel", "truncated", "refused", "dropped_by_sessions")
    return sum(number(counts, reason) for reason in reasons if reason in counts)


def _lines(server: Agent) -> list[str]:
    return server.log.read_text("utf-8").splitlines()


def _most_of_a_kind(lines: list[str], took: float) -> Figure:
    """Return how many lines of the log begin alike: one a second is promised."""
    kinds = Counter(" ".join(line.split()[:6]) for line in lines)
    # One when it begins, and one that comes while the figures are taken.
    return Figure("log lines of a kind", max(kinds.values(), default=0), most=took + 2)


async def _forge(server: Agent, count: int) -> list[Figure]:
    await server.ask("stop", service="datagrams")
    await server.ask("start", service="datagrams")
    lines_before = len(_lines(server))
    began = trio.current_time()
    await server.ask("forge", service="datagrams", count=count)
    await trio.sleep(0.1)
    took = trio.current_time() - began
    counts = await server.ask("statistics", service="datagrams")
    lost = number(counts, "dropped_by_kernel")
    return [
        exactly("forged and counted", number(counts, "from_itself") + lost, count),
        exactly("forged and answered", number(counts, "handled"), 0),
        _most_of_a_kind(_lines(server)[lines_before:], took),
    ]
