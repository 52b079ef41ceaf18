"""What the servers are made to do, and which figure of it counts."""

from __future__ import annotations

from typing import Final

import attrs

# The floor, ours, and the nearest on either side: for works that take long.
NEAREST: Final = ("trioserver", "raw", "trio", "asyncio-streams", "uvloop-streams")

# One of each kind: for a quick run.
USUAL: Final = (
    *NEAREST,
    "asyncio-protocols",
    "uvloop-protocols",
    "anyio-trio",
    "gevent",
    "tornado",
    "twisted",
    "easynetwork",
    "socketserver",
    "socketserver-threading",
)


@attrs.frozen
class Figure:
    """Something that is measured."""

    name: str
    unit: str
    digits: int = 1


CPU: Final = Figure("cpu_us", "CPU µs")
MEMORY: Final = Figure("connection_bytes", "bytes", digits=0)
STOP: Final = Figure("stop_ms", "ms")
RATE: Final = Figure("rate", "per second", digits=0)
P50: Final = Figure("p50_us", "p50 µs", digits=0)
P99: Final = Figure("p99_us", "p99 µs", digits=0)
P999: Final = Figure("p99.9_us", "p99.9 µs", digits=0)
PROCESS: Final = Figure("process_mib", "MiB")
LOAD: Final = Figure("load_busy", "load %", digits=0)
SERVER: Final = Figure("server_busy", "server %", digits=0)

LOST: Final = Figure("lost", "lost", digits=0)
RESET: Final = Figure("reset", "reset", digits=0)

RUN: Final = (CPU, RATE, P50, P99, P999, PROCESS, SERVER, LOAD)


@attrs.frozen
class Work:
    """One thing that every server is made to do."""

    name: str
    title: str
    service: str
    load: str
    """The work of load.c."""
    connections: int
    kind: str = "run"
    """How it is measured, see `benchmarks.sampling`."""
    figures: tuple[Figure, ...] = RUN
    """The first one is what is compared."""
    options: dict[str, int] = attrs.field(factory=dict)
    """Further options of load.c, such as `requests`, the least that count."""
    quick: tuple[str, ...] = ()
    """The contenders of a quick run; with none, it is not part of one."""

    @property
    def headline(self) -> Figure:
        """The figure that is compared."""
        return self.figures[0]


def _echo(connections: int, quick: tuple[str, ...] = ()) -> Work:
    plural = "s" if connections > 1 else ""
    return Work(
        f"echo-{connections}",
        f"echo of 64-byte lines, {connections} connection{plural}",
        "lines",
        "lines",
        connections,
        options={"requests": max(500, 2 * connections)},
        quick=quick,
    )


WORKS: Final = {
    work.name: work
    for work in (
        _echo(1),
        _echo(50, quick=("trioserver",)),
        _echo(100, quick=USUAL),
        _echo(1000),
        _echo(5000, quick=NEAREST),
        Work(
            "steady",
            "echo at 3 000 lines a second, 100 connections",
            "lines",
            "lines",
            100,
            figures=(P99, P50, P999, CPU, SERVER, LOAD),
            options={"rate": 3000},
            quick=NEAREST,
        ),
        Work(
            "pipelined",
            "pipelined lines, 16 per segment, 100 connections",
            "lines",
            "lines",
            100,
            options={"depth": 16},
            quick=USUAL,
        ),
        Work(
            "connect",
            "connect, one line, close, 32 at a time",
            "lines",
            "connect",
            32,
            figures=(*RUN, RESET),
            quick=USUAL,
        ),
        Work(
            "reply-1m",
            "replies of 1 MiB, 4 connections",
            "replies",
            "replies",
            4,
            options={"bytes": 2**20, "requests": 20},
        ),
        Work(
            "reply-64m",
            "replies of 64 MiB, 1 connection",
            "replies",
            "replies",
            1,
            options={"bytes": 2**26, "requests": 4},
            quick=NEAREST,
        ),
        Work(
            "udp",
            "UDP echo of 64 bytes, 50 clients",
            "datagrams",
            "datagrams",
            50,
            figures=(*RUN, LOST),
            quick=USUAL,
        ),
        Work(
            "idle",
            "memory of an idle connection, 5 000 of them",
            "lines",
            "hold",
            5000,
            kind="idle",
            figures=(MEMORY, PROCESS),
            quick=(*NEAREST, "gevent"),
        ),
        Work(
            "stop",
            "stop with 5 000 idle connections",
            "lines",
            "hold",
            5000,
            kind="stop",
            figures=(
                STOP,
                Figure("stop_cpu_ms", "CPU ms"),
                RESET,
            ),
            quick=NEAREST,
        ),
    )
}
