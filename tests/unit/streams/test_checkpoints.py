"""How often reading and writing let other tasks run, and notice a cancellation."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest
import trio

from kit.serving import STUCK
from trioserver import BufferedReader, BufferedWriter
from trioserver._streams.budget import OPERATIONS, Budget
from unit.streams.pairs import connected
from unit.streams.segments import SegmentStream

pytestmark = pytest.mark.usefixtures("readiness")

# More than any of the operations below takes.
PLENTY = b"a line\n" * 1000

READS: dict[str, Callable[[BufferedReader], Awaitable[bytes]]] = {
    "read": lambda reader: reader.read(3),
    "read nothing": lambda reader: reader.read(0),
    "read1": lambda reader: reader.read1(3),
    "readline": BufferedReader.readline,
    "readline limited": lambda reader: reader.readline(3),
    "readuntil": lambda reader: reader.readuntil(b"e"),
    "readexactly": lambda reader: reader.readexactly(3),
    "iteration": BufferedReader.__anext__,
}
WRITES: dict[str, Callable[[BufferedWriter], Awaitable[object]]] = {
    "write": lambda writer: writer.write(b"x"),
    "write nothing": lambda writer: writer.write(b""),
    "writelines": lambda writer: writer.writelines([b"x", b"y"]),
    "flush": BufferedWriter.flush,
}
each_read = pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
each_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
each_buffer_size = pytest.mark.parametrize("buffer_size", [0, 100000])


class Switches(trio.abc.Instrument):
    """Counts how often the scheduler has come back to this task."""

    def __init__(self) -> None:
        self.count = 0
        self._task = trio.lowlevel.current_task()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += task is self._task


@contextmanager
def counting_switches() -> Iterator[Switches]:
    switches = Switches()
    trio.lowlevel.add_instrument(switches)
    yield switches
    trio.lowlevel.remove_instrument(switches)


async def switches_during(operation: Callable[[], Awaitable[object]]) -> list[int]:
    """Return how often each of three budgets of *operation* let the scheduler run."""
    counts = []
    for _ in range(3):
        with counting_switches() as switches:
            for _ in range(OPERATIONS):
                await operation()
        counts.append(switches.count)
    return counts


async def full_reader(budget: Budget | None = None) -> BufferedReader:
    """Return a reader that has all of `PLENTY` in its buffer but the first byte."""
    reader = BufferedReader(SegmentStream(PLENTY), budget=budget)
    await reader.read(1)
    return reader


@each_read
async def test_a_read_of_what_is_there_yields_once_a_budget(
    read: Callable[[BufferedReader], Awaitable[bytes]],
) -> None:
    reader = await full_reader()

    counts = await switches_during(lambda: read(reader))

    assert counts == [1, 1, 1]


@each_write
@each_buffer_size
async def test_a_write_with_room_yields_once_a_budget(
    write: Callable[[BufferedWriter], Awaitable[object]], buffer_size: int
) -> None:
    with connected(socket.socketpair()) as (connection, _):
        writer = BufferedWriter(connection, buffer_size)

        counts = await switches_during(lambda: write(writer))

    assert counts == [1, 1, 1]


async def test_reads_and_writes_together_yield_once_a_budget() -> None:
    with connected(socket.socketpair()) as (connection, _):
        budget = Budget()
        reader = await full_reader(budget)
        writer = BufferedWriter(connection, budget=budget)

        async def echo() -> None:
            await writer.write(await reader.read(1))

        counts = await switches_during(echo)

    assert counts == [2, 2, 2]


async def test_reading_at_the_end_of_the_stream_yields_once_a_budget() -> None:
    reader = BufferedReader(SegmentStream(b"x"))
    await reader.read()

    counts = await switches_during(reader.read)

    assert counts == [1, 1, 1]


async def test_a_long_read_lets_other_tasks_run() -> None:
    """One operation, but a call of the system for each byte: others must not wait."""
    line = b"x" * 1000 + b"\n"
    with connected() as (connection, peer), trio.fail_after(STUCK):
        await peer.send_all(line)
        reader = BufferedReader(connection, 0)
        with counting_switches() as switches:
            await reader.readline()

    assert switches.count > 0


@each_read
async def test_a_cancelled_read_of_what_is_there_takes_nothing(
    read: Callable[[BufferedReader], Awaitable[bytes]],
) -> None:
    reader = await full_reader()

    with trio.CancelScope() as scope:
        scope.cancel()
        await read(reader)

    assert scope.cancelled_caught
    assert await reader.read() == PLENTY[1:]


@each_write
@each_buffer_size
async def test_a_cancelled_write_with_room_writes_nothing(
    write: Callable[[BufferedWriter], Awaitable[object]], buffer_size: int
) -> None:
    with connected() as (connection, peer):
        writer = BufferedWriter(connection, buffer_size)

        with trio.CancelScope() as scope:
            scope.cancel()
            await write(writer)
        await writer.write(b"next")
        await writer.flush()

        assert scope.cancelled_caught
        assert await peer.receive_some() == b"next"
