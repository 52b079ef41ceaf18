"""Measure one contender once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import attrs

from benchmarks.contenders import Contender
from benchmarks.load_process import Load
from benchmarks.server_process import ServerProcess, running
from benchmarks.works import Work

# Connections before the first look at the memory: what they need is there only once.
FIRST: Final = 100

# Requests that a window has at least, however short: a server that was kept from its
# core for a moment has no figure of a handful.
ENOUGH: Final = 500

MIB: Final = 2**20


@attrs.frozen
class Pace:
    """How long and how often something is measured."""

    rounds: int
    seconds: float
    warm_up: float
    budget: float = math.inf
    """Seconds after which no further turn begins."""


@attrs.frozen
class Bench:
    """What is needed to measure."""

    load: Load
    server_core: int
    pace: Pace


@attrs.frozen
class Measured:
    """The figures of one contender."""

    figures: dict[str, float]
    latency_us: dict[str, float] = attrs.field(factory=dict)


def measure(work: Work, contender: Contender, bench: Bench) -> Measured:
    """Start a server, let it work, and stop it."""
    with running(contender, work.service, bench.server_core) as server:
        return KINDS[work.kind](work, server, bench)


def _run(work: Work, server: ServerProcess, bench: Bench) -> Measured:
    report = bench.load.run(
        work.load,
        server,
        connections=work.connections,
        seconds=bench.pace.seconds,
        warm_up=bench.pace.warm_up,
        **{"requests": ENOUGH, **work.options},
    )
    figures = {
        "cpu_us": report["server_cpu"] / report["requests"] * 1e6,
        "rate": report["requests"] / report["seconds"],
        "process_mib": server.memory_bytes() / MIB,
        "load_busy": report["load_cpu"] / report["seconds"] * 100,
        "server_busy": report["server_cpu"] / report["seconds"] * 100,
        "lost": report["resent"] - report["late"],
        "reset": report["reset"],
    }
    latency = report["latency_us"]
    for percent, name in (("50", "p50_us"), ("99", "p99_us"), ("99.9", "p99.9_us")):
        figures[name] = latency[percent]
    return Measured(figures, latency)


def _idle(work: Work, server: ServerProcess, bench: Bench) -> Measured:
    with bench.load.hold(server, FIRST + work.connections) as connections:
        connections.open(FIRST)
        before = server.memory_bytes()
        connections.open(FIRST + work.connections)
        after = server.memory_bytes()
    return Measured(
        {
            "connection_bytes": (after - before) / work.connections,
            "process_mib": after / MIB,
        }
    )


def _stop(work: Work, server: ServerProcess, bench: Bench) -> Measured:
    with bench.load.hold(server, work.connections) as connections:
        connections.open(work.connections)
        seconds, cpu = server.stop()
        ends = connections.ends()
    return Measured(
        {
            "stop_ms": seconds * 1e3,
            "stop_cpu_ms": cpu * 1e3,
            "reset": ends["reset"],
        }
    )


KINDS: Final[dict[str, Callable[[Work, ServerProcess, Bench], Measured]]] = {
    "run": _run,
    "idle": _idle,
    "stop": _stop,
}
