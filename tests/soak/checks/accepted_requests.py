"""Shutdowns under load: every client that was told it is connected is answered."""

from __future__ import annotations

import random
from collections import Counter
from typing import Final

import trio

from soak.bench import Bench, number
from soak.processes import Agent, Value
from soak.verdicts import Figure, Outcome, exactly

# Shutdowns of each kind of server, and the clients that come meanwhile.
SHUTDOWNS: Final = 1000
SERVICES: Final = ("once", "unix once")
CLIENTS: Final = 20

# Seconds of load before a shutdown, at the most.
BEFORE: Final = 0.03


async def check_accepted_requests(bench: Bench) -> Outcome:
    """Stop servers at random moments of a storm."""
    shutdowns = bench.scaled(SHUTDOWNS, least=2)
    figures: list[Figure] = []
    async with bench.server() as server, bench.clients() as clients:
        for service in SERVICES:
            counts: Counter[str] = Counter()
            slowest = 0.0
            for done in range(1, shutdowns + 1):
                seconds, found = await _stop_in_a_storm(server, clients, service, done)
                counts.update(found)
                slowest = max(slowest, seconds)
                if done % max(shutdowns // 10, 1) == 0:
                    bench.show(f"{service}: {done} of {shutdowns} shutdowns")
            left = await server.ask("figures")
            figures += [
                Figure(f"{service}: answered", counts.pop("answered"), least=1),
                exactly("accepted and not answered", counts.pop("lost"), 0),
                Figure("refused", counts.pop("refused"), least=shutdowns),
                Figure("not let in at once", counts.pop("not let in")),
                Figure("slowest shutdown", slowest * 1000, "ms"),
                exactly("left in flight", number(left, "in flight"), 0),
                *(Figure(f"refused with {name}", n) for name, n in counts.items()),
            ]
    work = f"{shutdowns} shutdowns each with {CLIENTS} clients"
    return Outcome("accepted-requests", work, figures)


async def _stop_in_a_storm(
    server: Agent, clients: Agent, service: str, seed: int
) -> tuple[float, dict[str, int]]:
    address = (await server.ask("start", service=service))["value"]
    found: dict[str, Value] = {}

    async def come() -> None:
        found.update(await clients.ask("storm", address=address, clients=CLIENTS))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(come)
        await trio.sleep(random.Random(seed).random() * BEFORE)  # noqa: S311
        stopped = await server.number("stop", service=service)
    return stopped, {name: round(number(found, name)) for name in found}
