"""`BufferedWriter` over a slow peer: all that was accepted arrives, in order, once.

Writes and flushes in any order, with any buffer, to a peer that makes room when it
likes; each of them may be cancelled before it begins, or wherever it has to wait.
"""

from __future__ import annotations

import enum
from itertools import count

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.layers import LAYERS
from kit.moments import EXAMPLES
from kit.serving import STUCK
from trioserver import BufferedWriter
from unit.streams.pairs import connected, drain, waiting_by

pytestmark = pytest.mark.proof


class Fate(enum.Enum):
    """What becomes of an operation."""

    DONE = "the peer makes room until it is done"
    CANCELLED = "it is cancelled once it waits"
    REFUSED = "its task is cancelled already"


@attrs.frozen
class Operation:
    """A write of so many bytes; a flush, if there are none."""

    size: int | None
    fate: Fate
    # Bytes that the peer takes while the operation waits, before it is cancelled.
    room: int


# Around the size of the buffer; and more than the kernel takes at once from a socket
# like this, which is some 4 KiB, so that a write leaves in parts.
write_sizes = st.sampled_from([0, 1, 15, 16, 17, 3000, 10000, 20000])
operations = st.lists(
    st.builds(
        Operation,
        st.none() | write_sizes,
        st.sampled_from(Fate),
        st.sampled_from([0, 1, 3000, 100000]),
    ),
    min_size=2,
    max_size=8,
)
buffer_sizes = st.sampled_from([0, 1, 16, -1])


class SlowPeer:
    """Keeps what it has received."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.received = bytearray()

    async def take(self, room: int) -> None:
        """Take up to *room* bytes of what is there."""
        if room:
            with trio.move_on_after(0):
                self.received += await self.stream.receive_some(room)

    def take_all(self) -> None:
        self.received += drain(self.stream)


async def perform(writer: BufferedWriter, operation: Operation, data: bytes) -> None:
    if operation.size is None:
        await writer.flush()
    else:
        await writer.write(data)


async def run_to_its_fate(
    writer: BufferedWriter, peer: SlowPeer, operation: Operation, data: bytes
) -> None:
    async with trio.open_nursery() as nursery:
        if operation.fate is Fate.REFUSED:
            nursery.cancel_scope.cancel()
        nursery.start_soon(perform, writer, operation, data)
        if operation.fate is Fate.DONE:
            while nursery.child_tasks:
                await trio.testing.wait_all_tasks_blocked()
                peer.take_all()
        elif operation.fate is Fate.CANCELLED:
            await trio.testing.wait_all_tasks_blocked()
            await peer.take(operation.room)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("layer", LAYERS)
@settings(deadline=None, max_examples=EXAMPLES)
@given(script=operations, buffer_size=buffer_sizes)
async def test_all_that_was_accepted_arrives_in_order_and_once(
    layer: str, script: list[Operation], buffer_size: int
) -> None:
    async with waiting_by(layer):
        await check_that_all_arrives(script, buffer_size)


async def check_that_all_arrives(script: list[Operation], buffer_size: int) -> None:
    accepted = bytearray()
    numbers = count()
    with connected() as (connection, stream), trio.fail_after(STUCK):
        writer = BufferedWriter(connection, buffer_size)
        peer = SlowPeer(stream)
        for operation in script:
            data = _distinct_bytes(operation.size or 0, numbers)
            if operation.fate is not Fate.REFUSED:
                accepted += data
            await run_to_its_fate(writer, peer, operation, data)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.aclose)
            while nursery.child_tasks:
                await trio.testing.wait_all_tasks_blocked()
                peer.take_all()
        peer.take_all()

    assert peer.received == accepted


def _distinct_bytes(size: int, numbers: count[int]) -> bytes:
    """Return *size* bytes in which a gap or a repeat would show."""
    text = bytearray()
    while len(text) < size:
        text += b"%d," % next(numbers)
    return bytes(text[:size])
