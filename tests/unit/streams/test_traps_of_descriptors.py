"""The traps that closing is, and the numbers of descriptors, over both layers.

The others are in ``test_traps.py``, with the list.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
from collections import Counter
from collections.abc import Callable, Iterator

import attrs
import pytest
import trio
import trio.testing

from kit.forks import reap_here
from kit.serving import STUCK, eventually, reset_on_close
from trioserver import Connection, ConnectionLostError
from trioserver._concurrency.isolation import isolate
from unit.streams.edges import receiving, register, waiting
from unit.streams.pairs import fill, paired, poller, socket_pair, tcp_pair, tcp_pairs

pytestmark = pytest.mark.usefixtures("readiness")

THOUSANDS = 2000


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Allow as many open files as some tests take: the usual limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = max(soft, min(hard, 3 * THOUSANDS))
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# A close while somebody waits


async def test_a_close_while_one_task_receives_and_another_one_sends() -> None:
    with trio.fail_after(STUCK), paired(socket_pair()) as (connection, _):
        fill(connection.socket)
        async with (
            waiting(receiving(connection)) as received,
            waiting(lambda: connection.send_some(b"x")) as sent,
        ):
            connection.close()

    assert isinstance(received[0], trio.ClosedResourceError)
    assert isinstance(sent[0], trio.ClosedResourceError)


@attrs.define(eq=False)
class OnceWoken(trio.abc.Instrument):
    """Does something when a task that waits has been woken, and has not run yet."""

    act: Callable[[], None]
    task: trio.lowlevel.Task | None = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self.task:
            self.task = None
            self.act()


@contextlib.contextmanager
def once_woken(act: Callable[[], None]) -> Iterator[OnceWoken]:
    """Lend what does *act* once its task is woken."""
    instrument = OnceWoken(act)
    trio.lowlevel.add_instrument(instrument)
    try:
        yield instrument
    finally:
        trio.lowlevel.remove_instrument(instrument)


async def test_a_close_after_the_wait_has_ended_and_before_its_task_runs() -> None:
    with trio.fail_after(STUCK), paired() as (connection, peer):
        with once_woken(connection.close) as instrument:

            async def receive() -> object:
                instrument.task = trio.lowlevel.current_task()
                return await connection.receive(100)

            async with waiting(receive) as results:
                peer.sendall(b"too late")

    assert isinstance(results[0], trio.ClosedResourceError)


# The number of a descriptor that is used again


async def test_a_number_that_is_used_again_while_a_child_has_the_old_socket() -> None:
    """The system goes on telling of that one, by the same number."""
    with trio.fail_after(STUCK), paired() as (old, old_peer):
        await register(old, old_peer)
        number = old.socket.fileno()
        with (
            socket.socket(fileno=os.dup(number)),
            paired(successor_of(old, tcp_pair())) as (new, _),
        ):
            async with waiting(new._ready.wait_readable) as results:
                old_peer.sendall(b"for nobody here")
                await trio.testing.wait_all_tasks_blocked()
                found = list(results)
                new.close()

    assert found == []


def successor_of(
    old: Connection, pair: tuple[socket.socket, socket.socket]
) -> tuple[socket.socket, socket.socket]:
    """Close *old*, and return *pair* with the number of *old* for the first socket."""
    number = old.socket.fileno()
    old.close()
    ours, peer = pair
    os.dup2(ours.fileno(), number, inheritable=False)
    ours.close()
    return socket.socket(fileno=number), peer


# More than come in one call, so that for some of them an event is still to come.
BATCHES = 600


@attrs.define
class Crowd:
    """Many connections, of which the first that is woken replaces all others."""

    nursery: trio.Nursery
    stack: contextlib.ExitStack
    pairs: list[tuple[Connection, socket.socket]]
    results: list[bytes | None] = attrs.field(factory=list)
    """What each of them got; None if it was closed."""
    successors: list[tuple[socket.socket, socket.socket]] = attrs.field(
        factory=lambda: tcp_pairs(BATCHES - 1)
    )

    async def receive_and_replace(self, connection: Connection) -> None:
        try:
            self.results.append(await connection.receive(100))
        except trio.ClosedResourceError:
            self.results.append(None)
            return
        for other, _ in self.pairs:
            if other is not connection:
                pair = paired(successor_of(other, self.successors.pop()))
                new, _ = self.stack.enter_context(pair)
                self.nursery.start_soon(wait_readable, new)


async def wait_readable(connection: Connection) -> None:
    await connection._ready.wait_readable()


async def test_numbers_that_are_used_again_while_events_of_the_old_are_pending(
    many_descriptors: None,
) -> None:
    with contextlib.ExitStack() as stack, trio.fail_after(STUCK):
        pairs = [stack.enter_context(paired(pair)) for pair in tcp_pairs(BATCHES)]
        async with trio.open_nursery() as nursery:
            crowd = Crowd(nursery, stack, pairs)
            for connection, _ in pairs:
                nursery.start_soon(crowd.receive_and_replace, connection)
            await trio.testing.wait_all_tasks_blocked()
            for _, peer in pairs:
                peer.sendall(b"hello")
            await eventually(lambda: len(crowd.results) == BATCHES)
            await trio.testing.wait_all_tasks_blocked()
            still_waiting = len(nursery.child_tasks)
            nursery.cancel_scope.cancel()

    assert crowd.results.count(b"hello") == 1
    assert still_waiting == BATCHES - 1


# A forked child


def live_in_a_child(connection: Connection, *, closes: bool) -> int:
    """Do what a child does with a connection of its parent's. Return an exit code."""
    exit_code = 1
    # Whatever goes wrong, the child must not go on with the tests.
    with contextlib.suppress(BaseException):
        isolate({connection.socket.fileno()})
        if closes:
            connection.close()
        exit_code = 0
    return exit_code


@pytest.mark.parametrize("closes", [False, True])
async def test_a_forked_child_takes_nothing_from_its_parent(*, closes: bool) -> None:
    """It has the same epoll objects, and the same connection; the parent waits on."""
    with trio.fail_after(STUCK), paired() as (connection, peer):
        async with waiting(receiving(connection)) as results:
            pid = os.fork() or os._exit(live_in_a_child(connection, closes=closes))
            exit_code = reap_here(pid)
            await trio.testing.wait_all_tasks_blocked()
            assert results == []
            peer.sendall(b"for the parent")

    assert exit_code == 0
    assert results == [b"for the parent"]


# Thousands of connections that end at once


@pytest.mark.slow
async def test_thousands_of_connections_that_end_at_once(
    readiness: str, many_descriptors: None
) -> None:
    """One half by an end-of-file, the other half by a reset; and one lives on."""
    ends: Counter[str] = Counter()

    async def receive_end(connection: Connection) -> None:
        try:
            assert await connection.receive(100) == b""
            ends["end-of-file"] += 1
        except ConnectionLostError:
            ends["reset"] += 1
        connection.close()

    with contextlib.ExitStack() as stack, trio.fail_after(STUCK):
        pairs = [stack.enter_context(paired(pair)) for pair in tcp_pairs(THOUSANDS)]
        witness, witness_peer = stack.enter_context(paired())
        async with waiting(receiving(witness)) as seen, trio.open_nursery() as nursery:
            for connection, _ in pairs:
                nursery.start_soon(receive_end, connection)
            await trio.testing.wait_all_tasks_blocked()
            for number, (_, peer) in enumerate(pairs):
                if number % 2:
                    reset_on_close(peer)
                peer.close()
            witness_peer.sendall(b"still here")
        edges = poller.get()
        registered = [] if edges is None else list(edges._registered.values())

    assert ends == {"end-of-file": THOUSANDS // 2, "reset": THOUSANDS // 2}
    assert seen == [b"still here"]
    assert registered == ([witness._ready] if readiness == "edges" else [])
