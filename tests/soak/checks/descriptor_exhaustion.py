"""More clients than the server may have open files: they wait, and are served."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs
import trio

from soak.bench import Bench, number
from soak.probes import cpu_seconds
from soak.processes import Agent, Value
from soak.verdicts import Figure, Outcome, exactly

# Connections that the server may have, and how many come.
SPARE: Final = 100
WAITERS: Final = 100

# How often it happens, and for how many seconds.
EPISODES: Final = 10
SECONDS: Final = 4.0

# What the log says when it begins, and when it is over.
BEGINNING: Final = "Cannot accept requests"
END: Final = "Accepting requests on"


async def check_descriptor_exhaustion(bench: Bench) -> Outcome:
    """Take all descriptors of a server, again and again."""
    episodes, seconds = bench.scaled(EPISODES), bench.seconds(SECONDS, 0.3)
    total = Episode()
    async with bench.server() as server, bench.clients() as clients:
        address = (await server.ask("start", service="lines"))["value"]
        await server.ask("limit_descriptors", spare=SPARE)
        before = number(await server.ask("figures"), "descriptors")
        for episode in range(1, episodes + 1):
            await total.happen(server, clients, address, seconds)
            bench.show(f"episode {episode} of {episodes}")
        after = number(await server.ask("figures"), "descriptors")
        lines = server.log.read_text("utf-8").splitlines()
    beginnings = sum(BEGINNING in line for line in lines)
    return Outcome(
        "descriptor-exhaustion",
        f"{episodes} episodes of {seconds:.0f} s, {SPARE + WAITERS} clients for "
        f"{SPARE} descriptors",
        [
            exactly("replies to those inside", total.unharmed, total.asked),
            exactly("waiters served after it", total.served, WAITERS * episodes),
            Figure("log lines about it", beginnings, most=total.seconds + episodes),
            Figure(
                "that it is over",
                sum(END in line for line in lines),
                most=beginnings,
                least=episodes,
            ),
            Figure("CPU meanwhile", 100 * total.cpu / total.idle, "%", digits=1),
            exactly("descriptors", after, before),
        ],
    )


@attrs.define
class Episode:
    """What has happened in all of them."""

    asked: float = 0
    unharmed: float = 0
    served: float = 0
    cpu: float = 0
    idle: float = 0
    """Seconds for which nobody has asked anything, which is what `cpu` is about."""
    seconds: float = 0
    """All of them, which is what lines of the log are about."""

    async def happen(
        self, server: Agent, clients: Agent, address: Value, seconds: float
    ) -> None:
        """Let the server run out of descriptors, and recover."""
        episode_began = trio.current_time()
        seen = _count(server.log, BEGINNING)
        await clients.ask("open_held", address=address, count=SPARE + WAITERS)
        with trio.fail_after(20):
            while _count(server.log, BEGINNING) == seen:  # noqa: ASYNC110  # a file
                await trio.sleep(0.05)
        await self._ask_those_inside(clients, 0)
        cpu, began = cpu_seconds(server.pid), trio.current_time()
        await trio.sleep(seconds)
        self.cpu += cpu_seconds(server.pid) - cpu
        self.idle += trio.current_time() - began
        await self._ask_those_inside(clients, 1)
        await clients.ask("close_held", first=0, count=SPARE)
        self.served += await _ask(clients, WAITERS, 0)
        await clients.ask("close_held", first=0, count=WAITERS)
        await server.ask("figures")
        self.seconds += trio.current_time() - episode_began

    async def _ask_those_inside(self, clients: Agent, time: int) -> None:
        self.asked += SPARE
        self.unharmed += await _ask(clients, SPARE, time)


async def _ask(clients: Agent, count: int, time: int) -> float:
    """Return how many have their reply: the first time, that to their first line."""
    line = f"again {time}\n" if time else ""
    return await clients.number("ask_held", first=0, count=count, line=line)


def _count(log: Path, words: str) -> int:
    return log.read_text("utf-8").count(words)
