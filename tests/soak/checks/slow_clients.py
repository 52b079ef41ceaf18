"""Clients that are slow, by the thousand: bounded memory, and others are served."""

from __future__ import annotations

from typing import Final

import trio

from soak.bench import Bench, number
from soak.innocent import Innocent, served_meanwhile
from soak.loads.slow import FIRST
from soak.probes import MIB
from soak.processes import Agent, Value
from soak.verdicts import Figure, Outcome, exactly

# Of each kind. A client takes a descriptor here, and one in the server.
COUNT: Final = 2000

# KiB that one of them may take. An idle connection takes 6.
MOST_KIB: Final = {"silent": 16, "dripping": 16, "not reading": 24}

# MiB that all of them may take more at the end than at the beginning: those that drip
# have sent a byte a second.
MOST_GROWTH: Final = 2

# Seconds for which they are held, and after which the server gives up on them.
SECONDS: Final = 60.0
TIMEOUT: Final = 3.0

# Seconds more than that, for the end of a time-out to come.
PATIENCE: Final = 20.0


async def check_slow_clients(bench: Bench) -> Outcome:
    """Open them, hold them, and look at memory; then let a time-out end them."""
    count = bench.scaled(COUNT, least=20)
    seconds = bench.seconds(SECONDS, 0.3)
    innocent = Innocent()
    async with bench.server() as server, bench.clients() as clients:
        address = (await server.ask("start", service="lines"))["value"]
        async with served_meanwhile(address, innocent):
            figures = await _open(server, clients, address, count)
            bench.show(f"holding them for {seconds:.0f} s")
            before = number(await server.ask("figures_now"), "memory")
            await trio.sleep(seconds)
            grown = number(await server.ask("figures_now"), "memory") - before
        await clients.ask("close_slow")
        ends = await _give_up(server, clients, count, min(seconds, TIMEOUT))
    return Outcome(
        "slow-clients",
        f"{count} of each kind held for {seconds:.0f} s",
        [
            *figures,
            Figure("held", grown / MIB, "MiB more", most=MOST_GROWTH, digits=1),
            *innocent.figures(),
            *ends,
        ],
        notes=innocent.failures,
    )


async def _open(
    server: Agent, clients: Agent, address: Value, count: int
) -> list[Figure]:
    """Return what one of each kind takes."""
    # What is made once, for the first of them.
    for kind in FIRST:
        await clients.ask("open_slow", address=address, kind=kind, count=5)
    await trio.sleep(0.2)
    figures = []
    before = number(await server.ask("figures_now"), "memory")
    for kinds, (kind, most) in enumerate(MOST_KIB.items(), 1):
        await clients.ask("open_slow", address=address, kind=kind, count=count)
        await _settle(server, count * kinds)
        after = number(await server.ask("figures_now"), "memory")
        each = (after - before) / count / 1024
        # A few of them say nothing about each of many.
        bound = most if count >= 100 else None
        figures.append(Figure(kind, each, "KiB each", most=bound, digits=1))
        before = after
    return figures


async def _settle(server: Agent, count: int) -> None:
    """Wait until the server has accepted what has connected."""
    earlier, now = -1.0, 0.0
    while now < count or now != earlier:
        await trio.sleep(0.1)
        earlier, now = now, number(await server.ask("figures_now"), "in flight")


async def _give_up(
    server: Agent, clients: Agent, count: int, limit: float
) -> list[Figure]:
    """Return how many silent and not reading ones there are after a time-out.

    Those that drip are not cut: `timeout` is about each wait.
    """
    await server.ask("stop", service="lines")
    address = (await server.ask("start", service="lines", timeout=limit))["value"]
    kinds = ("silent", "not reading")
    for kind in kinds:
        await clients.ask("open_slow", address=address, kind=kind, count=count)
    left = float(count)
    end = trio.current_time() + limit + PATIENCE
    while left and trio.current_time() < end:
        await trio.sleep(limit / 4)
        left = number(await server.ask("figures_now"), "in flight")
    # Those who do not read have not got so far.
    told = await clients.number("count_ended", kind="silent")
    return [
        exactly("left after the time-out", left, 0),
        exactly("silent ones that were told so", told, count),
    ]
