"""The test kit refuses wrong arguments at once, and says what would be right."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol, cast

import pytest
import trio

import trioserver.testing
from kit.serving import LOOPBACK, STUCK, UpperHandler
from trioserver import DatagramRequestHandler, TCPServer, UDPServer
from trioserver.testing import (
    DatagramClient,
    Link,
    MemoryNetwork,
    StreamClient,
    Trial,
    connect,
    find_leaks,
    open_datagram_client,
    running,
)


class Unchecked(Protocol):
    """A function, as a program calls it that nobody has type-checked."""

    def __call__(self, *arguments: object, **options: object) -> object:
        """Call it."""
        ...


cancel_everywhere = cast("Unchecked", trioserver.testing.cancel_everywhere)
fail_everywhere = cast("Unchecked", trioserver.testing.fail_everywhere)
make_link = cast("Unchecked", Link)

SEARCHES: Final = {
    "cancel_everywhere": cancel_everywhere,
    "fail_everywhere": fail_everywhere,
}


async def never(trial: Trial) -> None:
    """Is not run: the arguments are looked at before."""
    raise NotImplementedError(trial)


async def test_nothing_else_is_run_by_mistake() -> None:
    with pytest.raises(NotImplementedError):
        await never(Trial())


OPTIONS: Final[list[tuple[dict[str, object], type[Exception], str]]] = [
    ({"sample": 0}, ValueError, "sample must be 1 or more, not 0"),
    ({"sample": "3"}, TypeError, "sample must be a whole number, not '3'"),
    ({"sample": True}, TypeError, "sample must be a whole number, not True"),
    ({"only": 0}, ValueError, "only must be 1 or more, not 0"),
    ({"only": [3, 0]}, ValueError, "only must be 1 or more, not 0"),
    ({"stop_after": 0}, ValueError, "stop_after must be 1 or more, not 0"),
    ({"hang_seconds": "1"}, TypeError, "hang_seconds must be a number of seconds"),
    ({"hang_seconds": -1}, ValueError, "hang_seconds must be seconds from 0 on"),
    ({"clock": 3}, TypeError, "clock"),
    ({"paths": "spool"}, TypeError, r"several directories: write paths=\['spool'\]"),
    ({"paths": Path("spool")}, TypeError, "paths must be several directories"),
    ({"paths": ["no/where"]}, ValueError, "directories, which 'no/where' is not"),
]


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
@pytest.mark.parametrize(("options", "error", "says"), OPTIONS)
def test_a_search_names_the_wrong_option(
    search: Unchecked,
    options: dict[str, object],
    error: type[Exception],
    says: str,
) -> None:
    with pytest.raises(error, match=says):
        search(never, **options)


@pytest.mark.parametrize(("name", "search"), SEARCHES.items(), ids=SEARCHES)
async def test_a_search_is_not_for_the_inside_of_a_run(
    name: str, search: Unchecked
) -> None:
    with pytest.raises(RuntimeError, match=rf"{name}\(\) runs Trio itself, again"):
        search(never)


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_a_search_needs_a_function(search: Unchecked) -> None:
    with pytest.raises(TypeError, match="scenario"):
        search(None)


def test_there_is_some_kind_of_trouble() -> None:
    with pytest.raises(ValueError, match="by is empty: leave it out"):
        cancel_everywhere(never, by=[])


def test_a_misspelt_operation_is_not_passed_over() -> None:
    with pytest.raises(
        ValueError, match=r"operations: there is no 'sned', but __init__, accept"
    ):
        fail_everywhere(never, operations="sned")
    with pytest.raises(ValueError, match="operations is empty"):
        fail_everywhere(never, operations=[])


def test_a_failing_socket_is_one_of_the_system() -> None:
    async def play(trial: Trial) -> None:
        server = TCPServer(LOOPBACK, UpperHandler)
        await trial.serving(server, MemoryNetwork()).__aenter__()

    report = trioserver.testing.fail_everywhere(play)

    (problem,) = report.problems
    assert "cannot let a socket of a MemoryNetwork fail: serve on the real" in problem
    assert report.runs == 1


def test_a_ctrl_c_is_for_the_main_thread() -> None:
    says = "by='interrupt' needs the main thread"
    with ThreadPoolExecutor() as pool:
        for by in ("interrupt", ["cancel", "interrupt"]):
            with pytest.raises(ValueError, match=says):
                pool.submit(cancel_everywhere, never, by=by).result()


def test_paths_are_several_for_the_leak_check_too() -> None:
    with pytest.raises(TypeError, match="paths must be several directories"):
        find_leaks(paths="spool").__enter__()


LINKS: Final[list[tuple[dict[str, object], str]]] = [
    ({"delay": "1"}, "delay must be a number, not '1'"),
    ({"loss": None}, "loss must be a number, not None"),
    ({"segment_bytes": True}, "segment_bytes must be a number, not True"),
    ({"window_bytes": 1.5}, "window_bytes must be a whole number, not 1.5"),
    ({"window_bytes": True}, "window_bytes must be a whole number, not True"),
    ({"is_cut": "yes"}, "is_cut must be True or False, not 'yes'"),
    ({"seed": None}, "seed must be a whole number, not None"),
    ({"fates": [0.1]}, "fates must have the delays of the copies for each datagram"),
    ({"fates": [("late",)]}, "fates must have the delays of the copies"),
]


@pytest.mark.parametrize(("options", "says"), LINKS)
def test_a_link_names_the_wrong_setting(options: dict[str, object], says: str) -> None:
    with pytest.raises(TypeError, match=says):
        make_link(**options)


async def test_a_link_is_a_link() -> None:
    link, says = cast("Link", 3), r"a link must be a Link, as Link\(delay=0.1\), not 3"
    network = MemoryNetwork()
    with pytest.raises(TypeError, match=says):
        MemoryNetwork(link)
    with pytest.raises(TypeError, match=says):
        network.link = link
    async with running(TCPServer(LOOPBACK, UpperHandler), network) as server:
        async with await connect(server) as client:
            with pytest.raises(TypeError, match=says):
                client.link = link
            await client.send(b"hello\n")
            await client.expect(b"HELLO\n")


async def run_nothing(server: object, network: object = None) -> None:
    block = running(cast("TCPServer", server), cast("MemoryNetwork", network))
    await block.__aenter__()


@pytest.mark.parametrize("network", [5, Link(), MemoryNetwork])
async def test_running_wants_a_network(network: object) -> None:
    with TCPServer(LOOPBACK, UpperHandler) as server:
        with pytest.raises(TypeError, match="needs a network, as MemoryNetwork"):
            await run_nothing(server, network)


async def test_running_wants_a_server() -> None:
    with pytest.raises(TypeError, match=r"running\(\) needs a server, not <class"):
        await run_nothing(TCPServer)


async def test_running_wants_seconds() -> None:
    with TCPServer(LOOPBACK, UpperHandler) as server:
        with pytest.raises(TypeError, match="patience must be a number of seconds"):
            await running(server, patience=cast("float", "5")).__aenter__()


def test_a_trial_wants_a_server() -> None:
    async def play(trial: Trial) -> None:
        await trial.serving(cast("TCPServer", TCPServer)).__aenter__()

    report = trioserver.testing.cancel_everywhere(play)

    (problem,) = report.problems
    assert "Trial.serving() needs a server, not <class" in problem
    assert " at play (test_wrong_use.py:" in problem


async def test_a_trial_wants_what_it_uses_in_the_end() -> None:
    trial = Trial()

    with pytest.raises(TypeError, match=r"add_client\(\) needs something with reset"):
        trial.add_client(cast("StreamClient", 3))
    with pytest.raises(TypeError, match="something with borrowed_tokens, not 3"):
        trial.add_limiter(cast("trio.CapacityLimiter", 3))


TEXT: Final = cast("bytes", "text")

STREAM_CALLS: Final[
    list[tuple[Callable[[StreamClient], Awaitable[object]], type[Exception], str]]
] = [
    (lambda client: client.send(TEXT), TypeError, "data must be bytes, not 'text'"),
    (lambda client: client.expect(TEXT), TypeError, "'text': encode the text"),
    (lambda client: client.expect_line(TEXT), TypeError, "line must be bytes"),
    (lambda client: client.expect_line(b"text"), ValueError, "there is expect"),
    (lambda client: client.expect_line(b""), ValueError, "a line has one"),
    (lambda client: client.expect_line(b"a\nb\n"), ValueError, "a line has one"),
    (lambda client: client.receive_exactly(0), ValueError, "count must be 1 or more"),
    (lambda client: client.send(cast("bytes", 3)), TypeError, "not 3$"),
]


@pytest.mark.parametrize(
    ("call", "error", "says"), STREAM_CALLS, ids=range(len(STREAM_CALLS))
)
async def test_a_client_says_what_it_takes(
    call: Callable[[StreamClient], Awaitable[object]], error: type[Exception], says: str
) -> None:
    server = TCPServer(LOOPBACK, UpperHandler)
    with trio.fail_after(STUCK):
        async with running(server, MemoryNetwork()), await connect(server) as client:
            with pytest.raises(error, match=says):
                await call(client)


DATAGRAM_CALLS: Final[list[Callable[[DatagramClient], Awaitable[object]]]] = [
    lambda client: client.send(TEXT),
    lambda client: client.expect(TEXT),
]


@pytest.mark.parametrize("call", DATAGRAM_CALLS, ids=["send", "expect"])
async def test_a_client_for_datagrams_says_what_it_takes(
    call: Callable[[DatagramClient], Awaitable[object]],
) -> None:
    async with UDPServer(LOOPBACK, DatagramRequestHandler) as server:
        async with await open_datagram_client(server) as client:
            with pytest.raises(TypeError, match="'text': encode the text"):
                await call(client)


async def test_silence_takes_some_time() -> None:
    async with running(TCPServer(LOOPBACK, UpperHandler), MemoryNetwork()) as server:
        async with await connect(server) as client:
            with pytest.raises(ValueError, match=r"expect_silence\(\) needs some time"):
                await client.expect_silence(0)


async def test_a_client_is_not_connected_to_a_class() -> None:
    with pytest.raises(TypeError, match=r"connect\(\) needs a server for streams, not"):
        await connect(TCPServer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # what this is about
