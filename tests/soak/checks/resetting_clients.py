"""Clients that reset at random moments: nothing of them is left behind."""

from __future__ import annotations

from typing import Final

import trio

from soak.bench import Bench, number
from soak.innocent import served_meanwhile
from soak.probes import MIB
from soak.processes import Agent, SoakError, Value
from soak.verdicts import Figure, Outcome, exactly

# Connections, by what serves them.
COUNTS: Final = {"lines": 200_000, "unix lines": 20_000, "threads": 20_000}

# The first tenth is compared with the last.
PARTS: Final = 10

# MiB, and objects of Python's, that may be more at the end: ten times less than one
# object for each connection.
MOST_GROWTH: Final = 1.0
MOST_BLOCKS: Final = 2000

# Seconds for what is about to end: Trio keeps idle threads for ten.
SETTLING: Final = 0.1


async def check_resetting_clients(bench: Bench) -> Outcome:
    """Reset connections of three kinds of server."""
    figures: list[Figure] = []
    total = 0
    async with bench.server() as server, bench.clients() as clients:
        for service, full in COUNTS.items():
            count = bench.scaled(full, least=100)
            bench.show(f"{count} connections to {service}")
            figures += await _reset(bench, (server, clients), service, count)
            total += count
    return Outcome(
        "resetting-clients", f"{total:,} connections".replace(",", " "), figures
    )


async def _reset(
    bench: Bench, sides: tuple[Agent, Agent], service: str, count: int
) -> list[Figure]:
    server, clients = sides
    address = (await server.ask("start", service=service))["value"]
    tenths: list[dict[str, Value]] = []
    for part in range(PARTS + 1):
        # The first one is to warm up: some things are made once.
        size = count // PARTS if part else max(count // PARTS // 10, 20)
        async with served_meanwhile(address) as innocent:
            await clients.ask("reset_many", address=address, count=size, seed=part)
        if innocent.unanswered:
            message = f"{innocent.unanswered} requests of the innocent are unanswered"
            raise SoakError(message)
        if part in {1, PARTS}:
            await trio.sleep(SETTLING)
            tenths.append(await server.ask("figures"))
        bench.show(f"{service}: {part} of {PARTS} parts")
    return _compare(service, *tenths)


def _compare(
    service: str, first: dict[str, Value], last: dict[str, Value]
) -> list[Figure]:
    """Return what is left of all the connections."""
    grown = {name: number(last, name) - number(first, name) for name in first}
    return [
        Figure(
            f"{service}: memory {number(first, 'memory') / MIB:.1f} MiB, grown by",
            grown["memory"] / MIB,
            "MiB",
            most=MOST_GROWTH,
            digits=2,
        ),
        Figure("objects grown by", grown["blocks"], most=MOST_BLOCKS),
        exactly(
            "descriptors", number(last, "descriptors"), number(first, "descriptors")
        ),
        exactly("tasks", number(last, "tasks"), number(first, "tasks")),
        exactly("in flight", number(last, "in flight"), 0),
    ]
