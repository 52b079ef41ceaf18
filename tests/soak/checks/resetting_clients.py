"""Clients that reset at random moments: nothing of them is left behind."""

from __future__ import annotations

from typing import Final

from soak.bench import Bench, figures_at_rest, number
from soak.innocent import Innocent, served_meanwhile
from soak.probes import MIB
from soak.processes import Value
from soak.verdicts import Figure, Outcome, exactly

# Connections, by what serves them.
COUNTS: Final = {"lines": 200_000, "unix lines": 20_000, "threads": 20_000}

# The first tenth is compared with the last.
PARTS: Final = 10

# Connections before the first one that counts.
WARM_UP: Final = 50

# MiB, and objects of Python's, that may be more at the end: ten times less than one
# object for each connection.
MOST_GROWTH: Final = 1.0
MOST_BLOCKS: Final = 2000

# Connections below which memory says nothing: what they make once counts for more.
ENOUGH: Final = 10_000


async def check_resetting_clients(bench: Bench) -> Outcome:
    """Reset connections of three kinds of server."""
    figures: list[Figure] = []
    innocent = Innocent()
    total = 0
    async with bench.server() as server, bench.clients() as clients:
        for service, full in COUNTS.items():
            count = bench.scaled(full, least=100)
            address = (await server.ask("start", service=service))["value"]
            # What is made once does not count.
            await clients.ask("reset_many", address=address, count=WARM_UP, seed=0)
            tenths: list[dict[str, Value]] = []
            for part in range(1, PARTS + 1):
                bench.show(f"{service}: part {part} of {PARTS}, {count} connections")
                async with served_meanwhile(address, innocent):
                    await clients.ask(
                        "reset_many", address=address, count=count // PARTS, seed=part
                    )
                if part in {1, PARTS}:
                    tenths.append(await figures_at_rest(server))
            figures += _compare(service, count, *tenths)
            total += count
    work = f"{total:,} connections".replace(",", " ")
    figures += innocent.figures()
    return Outcome("resetting-clients", work, figures, notes=innocent.failures)


def _compare(
    service: str, count: int, first: dict[str, Value], last: dict[str, Value]
) -> list[Figure]:
    """Return what is left of all the connections."""
    grown = {name: number(last, name) - number(first, name) for name in first}
    return [
        Figure(
            f"{service}: memory {number(first, 'memory') / MIB:.1f} MiB, grown by",
            grown["memory"] / MIB,
            "MiB",
            most=MOST_GROWTH if count >= ENOUGH else None,
            digits=2,
        ),
        Figure("objects grown by", grown["blocks"], most=MOST_BLOCKS),
        exactly(
            "descriptors", number(last, "descriptors"), number(first, "descriptors")
        ),
        exactly("tasks", number(last, "tasks"), number(first, "tasks")),
        exactly("in flight", number(last, "in flight"), 0),
    ]
