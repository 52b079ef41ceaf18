"""A network in memory can be as bad as a real one, on request and in the same way."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import pytest
import trio
import trio.testing

from kit.datagrams import UpperDatagramHandler
from kit.serving import LOOPBACK, UpperHandler
from trioserver import Connection, StreamRequestHandler, TCPServer, UDPServer
from trioserver.testing import (
    Link,
    MemoryNetwork,
    connect,
    open_datagram_client,
    running,
)


class Sizes(StreamRequestHandler):
    """Notes how much each receive gets."""

    server: SizesServer

    async def handle(self) -> None:
        while data := await self.connection.receive_some():
            self.server.sizes.append(len(data))


class SizesServer(TCPServer):
    def __init__(self) -> None:
        self.sizes: list[int] = []
        super().__init__(LOOPBACK, Sizes)


async def test_a_delay_is_one_way(autojump_clock: trio.testing.MockClock) -> None:
    network = MemoryNetwork(Link(delay=0.25))
    async with running(TCPServer(LOOPBACK, UpperHandler), network) as server:
        start = trio.current_time()
        async with await connect(server) as client:
            assert trio.current_time() == start + 0.5
            await client.send(b"hello\n")
            await client.expect(b"HELLO\n")
            assert trio.current_time() == start + 1
            await client.send_eof()
            await client.expect_eof()
            assert trio.current_time() == start + 1.5


async def test_bytes_take_their_time(autojump_clock: trio.testing.MockClock) -> None:
    network = MemoryNetwork(Link(bytes_per_second=1000))
    async with running(TCPServer(LOOPBACK, UpperHandler), network) as server:
        async with await connect(server, patience=60) as client:
            start = trio.current_time()
            await client.send(b"x" * 4999 + b"\n")
            await client.expect(b"X" * 4999 + b"\n")

            assert trio.current_time() == pytest.approx(start + 10)


@pytest.mark.parametrize(("most", "sizes"), [(1, [1] * 7), (3, [3, 3, 1])])
async def test_segments_have_any_size(
    autojump_clock: trio.testing.MockClock, most: int, sizes: list[int]
) -> None:
    async with running(SizesServer(), MemoryNetwork()) as server:
        async with await connect(server, link=Link(segment_bytes=most)) as client:
            await client.send(b"1234567")

    assert server.sizes == sizes


async def test_what_is_cut_off_is_silent_until_it_is_mended(
    autojump_clock: trio.testing.MockClock,
) -> None:
    network = MemoryNetwork()
    async with running(TCPServer(LOOPBACK, UpperHandler), network) as server:
        async with await connect(server) as client:
            await client.send(b"one\n")
            await client.expect(b"ONE\n")
            network.link = Link(is_cut=True)
            await client.send(b"two\n")
            await client.expect_silence(100)
            with pytest.raises(AssertionError, match="could not connect"):
                await connect(server)
            network.link = Link()
            await client.expect(b"TWO\n")


async def test_a_client_that_was_cut_off_is_not_missed_by_a_server_without_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    network = MemoryNetwork()
    async with running(TCPServer(LOOPBACK, UpperHandler), network) as server:
        client = await connect(server)
        client.link = Link(is_cut=True)
        await client.aclose()
        await trio.sleep(10000)
        assert server.requests_in_flight == 1
        client.link = Link()
        await trio.testing.wait_all_tasks_blocked()
        assert server.requests_in_flight == 0


async def test_one_direction_can_be_cut(autojump_clock: trio.testing.MockClock) -> None:
    async with running(TCPServer(LOOPBACK, UpperHandler), MemoryNetwork()) as server:
        async with await connect(server) as client:
            client.downlink = Link(is_cut=True)
            await client.send(b"one\n")
            await client.expect_silence(1)
            assert (client.uplink, client.downlink) == (Link(), Link(is_cut=True))
            client.downlink = Link()
            client.uplink = Link(delay=2)
            await client.expect(b"ONE\n")
            assert client.link == Link(delay=2)


async def test_a_server_that_closes_while_data_are_on_their_way_resets(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def leave(request: Connection, _address: object, _server: object) -> None:
        await trio.sleep(1.5)  # the client knows of the connection after 1 s
        await request.aclose()

    async with running(TCPServer(LOOPBACK, leave), MemoryNetwork()) as server:
        async with await connect(server, link=Link(delay=1)) as client:
            await client.send(b"late\n")
            await client.expect_eof()
            await trio.sleep(1)
            with pytest.raises(trio.BrokenResourceError):
                await client.send(b"x")


async def test_what_is_cut_off_is_not_reset_either(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def leave(request: Connection, _address: object, _server: object) -> None:
        await request.aclose()

    async with running(TCPServer(LOOPBACK, leave), MemoryNetwork()) as server:
        async with await connect(server) as client:
            client.uplink = Link(is_cut=True)
            await client.expect_eof()
            for _ in range(3):
                await client.send(b"nobody knows")
                await trio.sleep(1)


async def test_a_reset_is_behind_what_was_sent_before_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    got: list[object] = []

    class Reading(StreamRequestHandler):
        async def handle(self) -> None:
            got.append(await self.rfile.readline())
            with pytest.raises(ConnectionResetError):
                await self.rfile.readline()
            got.append("reset")

    async with running(TCPServer(LOOPBACK, Reading), MemoryNetwork()) as server:
        client = await connect(server, link=Link(delay=1))
        await client.send(b"one\n")
        client.reset()
        await trio.sleep(2)

    assert got == [b"one\n", "reset"]


async def test_a_small_window_makes_the_sender_wait(
    autojump_clock: trio.testing.MockClock,
) -> None:
    network = MemoryNetwork(Link(window_bytes=10, delay=1))
    async with running(SizesServer(), network) as server:
        async with await connect(server) as client:
            start = trio.current_time()
            await client.send(bytes(25))
            assert trio.current_time() == start + 2

    assert server.sizes == [10, 10, 5]


async def numbers_that_arrive(link: Link, count: int = 100) -> list[int]:
    """Return the numbers that come back, of those that are sent one a second."""
    network = MemoryNetwork()
    arrived: list[int] = []
    async with running(UDPServer(LOOPBACK, UpperDatagramHandler), network) as server:
        async with await open_datagram_client(server) as client:
            client.uplink = link
            for number in range(count):
                await client.send(b"%d" % number)
                await trio.sleep(1)
            with trio.move_on_after(100):
                while True:
                    client.patience = 1000
                    arrived.append(int(await client.receive()))
    return arrived


async def test_datagrams_meet_the_fates_that_were_given(
    autojump_clock: trio.testing.MockClock,
) -> None:
    link = Link(fates=[(), (0, 0), (1.5,), (0,)])

    assert await numbers_that_arrive(link, 6) == [1, 1, 3, 2, 4, 5]


async def test_datagrams_are_lost_by_chance_and_always_the_same_ones(
    autojump_clock: trio.testing.MockClock,
) -> None:
    link = Link(loss=0.3, seed=7)
    arrived = await numbers_that_arrive(link)

    assert 50 < len(arrived) < 90
    assert arrived == sorted(set(arrived))
    assert await numbers_that_arrive(link) == arrived
    assert await numbers_that_arrive(attrs.evolve(link, seed=8)) != arrived


async def test_datagrams_are_duplicated_by_chance(
    autojump_clock: trio.testing.MockClock,
) -> None:
    arrived = await numbers_that_arrive(Link(duplication=0.3))

    assert 110 < len(arrived) < 150
    assert set(arrived) == set(range(100))


async def test_datagrams_that_jitter_overtake_each_other(
    autojump_clock: trio.testing.MockClock,
) -> None:
    arrived = await numbers_that_arrive(Link(jitter=3))

    assert arrived != sorted(arrived)
    assert set(arrived) == set(range(100))


async def test_datagrams_are_lost_while_the_way_is_cut(
    autojump_clock: trio.testing.MockClock,
) -> None:
    network = MemoryNetwork()
    async with running(UDPServer(LOOPBACK, UpperDatagramHandler), network) as server:
        async with await open_datagram_client(server, link=Link(delay=1)) as client:
            client.uplink = Link(is_cut=True)
            await client.send(b"lost")
            client.uplink = Link()
            await client.send(b"here")
            start = trio.current_time()
            await client.expect(b"HERE")
            assert trio.current_time() == start + 1


async def test_a_flood_finds_no_room_and_is_counted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running(UDPServer(LOOPBACK, UpperDatagramHandler), MemoryNetwork()) as (
        server
    ):
        async with await open_datagram_client(server) as client:
            server.max_concurrent_requests = 0
            await client.send(b"wakes the server up")
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(300):
                await client.send(b"x")
        assert server.statistics().dropped_by_kernel == 300 - 256


SENSELESS: dict[str, Callable[[], Link]] = {
    "delay.*-1": lambda: Link(delay=-1),
    "delay.*inf": lambda: Link(delay=math.inf),
    "segment_bytes": lambda: Link(segment_bytes=0),
    "window_bytes": lambda: Link(window_bytes=0),
    "bytes_per_second": lambda: Link(bytes_per_second=0),
    "loss must be between 0 and 1, not 2": lambda: Link(loss=2),
    "duplication must be between": lambda: Link(duplication=-1),
    "jitter": lambda: Link(jitter=-1),
    "fates must be seconds from 0 on": lambda: Link(fates=[(-1,)]),
}


@pytest.mark.parametrize("message", SENSELESS)
def test_a_link_that_makes_no_sense_is_refused(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SENSELESS[message]()
