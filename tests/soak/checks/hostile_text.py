"""Text from clients, by every way on which it reaches a log or a terminal."""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from soak.bench import Bench, number
from soak.hostile import FORGED, HOSTILE, split_lines, wrong_lines
from soak.loads.connecting import connect, split
from soak.processes import Agent, Value
from soak.verdicts import Figure, Outcome, exactly
from trioserver._cli.main import main as command

# Characters of a line: a message has 1000 at the most, and the prefix its own.
MOST_CHARACTERS: Final = 1100

# Bytes of an abstract name, its NUL aside (unix(7)); of a datagram on loopback.
NAME_BYTES: Final = 107
DATAGRAM_BYTES: Final = 65000

# Kinds of exceptions that quote it: see `soak.services.raise_what_was_sent`.
KINDS: Final = ("value", "group", "note", "syntax", "type")

PATIENCE: Final = 20.0


async def check_hostile_text(bench: Bench) -> Outcome:
    """Send each text on each way; look at every line of the log."""
    texts = HOSTILE[:: min(10, max(1, round(0.1 / bench.length)))]
    async with bench.server() as server:
        for way in WAYS:
            bench.show(way.__name__.strip("_").replace("_", " "))
            for text in texts:
                await way(server, text.encode("utf-8", "surrogateescape"))
        records, lines = await _whole_log(server, len(texts) * len(WAYS))
    said = [line for text in texts for line in _say(text)]
    wrong = wrong_lines(lines, MOST_CHARACTERS) + wrong_lines(said, MOST_CHARACTERS)
    return Outcome(
        "hostile-text",
        f"{len(texts)} texts on {len(WAYS) + 1} ways",
        [
            Figure("records", records, least=len(texts) * len(WAYS)),
            exactly("lines that begin one", _begun(lines), records),
            exactly("forged lines", sum(line.startswith(FORGED) for line in lines), 0),
            exactly("lines of a terminal", len(said), len(texts) * len(COMMANDS)),
            exactly("lines that are too long or not printable", len(wrong), 0),
            Figure("longest", max(map(len, lines + said)), most=MOST_CHARACTERS),
        ],
        notes=wrong[:5],
    )


async def _whole_log(server: Agent, least: int) -> tuple[float, list[str]]:
    """Return how many records there were, and all lines, when there are no new ones."""
    end = trio.current_time() + PATIENCE
    while True:
        records = number(await server.ask("figures"), "records")
        lines = split_lines(server.log.read_bytes())
        is_whole = records >= least and _begun(lines) == records
        if is_whole or trio.current_time() > end:
            return records, lines
        await trio.sleep(0.1)


def _begun(lines: list[str]) -> int:
    """Return how many lines begin a record: those of tracebacks are indented."""
    return sum(not line.startswith("  ") for line in lines)


async def _exceptions_of_a_handler(server: Agent, text: bytes) -> None:
    await _fail(await _started(server, "lines"), text)


async def _exceptions_in_a_thread(server: Agent, text: bytes) -> None:
    await _fail(await _started(server, "threads"), text)


async def _names_of_stream_clients(server: Agent, text: bytes) -> None:
    family, where = split(await _started(server, "unix lines"))
    with socket.socket(family) as sock:
        sock.bind(b"\0" + text[:NAME_BYTES])
        sock.connect(where)
        sock.sendall(b"fail with a name\n")
        sock.setblocking(False)
        await _end_of(sock)


async def _names_of_datagram_clients(server: Agent, text: bytes) -> None:
    await _send_as(await _started(server, "unix datagrams"), text, b"fail with a name")


async def _names_in_truncations(server: Agent, text: bytes) -> None:
    # A new server each time: there is one such line a second.
    await server.ask("stop", service="unix datagrams")
    await _send_as(await _started(server, "unix datagrams"), text, b"long" * 1000)


async def _datagrams(server: Agent, text: bytes) -> None:
    address = await _started(server, "datagrams", max_packet_size=65535)
    with connect(address, socket.SOCK_DGRAM) as sock:
        await _logged_by(
            server, lambda: sock.send(b"fail value " + text[:DATAGRAM_BYTES])
        )


async def _sessions(server: Agent, text: bytes) -> None:
    address = await _started(server, "sessions")
    with connect(address, socket.SOCK_DGRAM) as sock:
        await _logged_by(
            server, lambda: sock.send(b"fail value " + text[:DATAGRAM_BYTES])
        )


WAYS: Final[tuple[Callable[[Agent, bytes], Awaitable[None]], ...]] = (
    _exceptions_of_a_handler,
    _exceptions_in_a_thread,
    _names_of_stream_clients,
    _names_of_datagram_clients,
    _names_in_truncations,
    _datagrams,
    _sessions,
)


async def _started(server: Agent, service: str, **settings: Value) -> Value:
    """Return the address of a service, started if it was not."""
    return (await server.ask("start_once", service=service, **settings))["value"]


async def _fail(address: Value, text: bytes) -> None:
    """Let a handler raise what is sent, one kind of error after the other."""
    for kind in KINDS:
        with connect(address) as sock:
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
            # What is behind a newline is a line of its own here, but not in a datagram.
            await stream.send_all(b"fail %s %s\n" % (kind.encode(), text))
            await _end_of(sock)


async def _end_of(sock: socket.socket) -> None:
    """Wait until the server has ended a connection."""
    with trio.fail_after(PATIENCE):
        while True:
            await trio.lowlevel.wait_readable(sock)
            try:
                if not sock.recv(1000):
                    return
            except OSError:
                return


async def _send_as(address: Value, name: bytes, data: bytes) -> None:
    family, where = split(address)
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind(b"\0" + name[:NAME_BYTES])
        sock.sendto(data, where)


async def _logged_by(server: Agent, act: Callable[[], object]) -> None:
    """Do something, and wait until something is logged."""
    before = number(await server.ask("figures_now"), "records")
    act()
    with trio.fail_after(PATIENCE):
        while number(await server.ask("figures_now"), "records") == before:  # noqa: ASYNC110
            await trio.sleep(0.01)


# What a user may have been given to type.
COMMANDS: Final = (
    lambda text: ["serve", text],
    lambda text: ["serve", f"{text}:Handler"],
    lambda text: ["serve", "--bind", text],
    lambda text: ["serve", "--bind", f"tcp://{text}:1"],
    lambda text: ["serve", "--bind", f"unix:/nowhere/{text}"],
    lambda text: ["serve", "--drain", text],
    lambda text: [text],
)


def _say(text: str) -> list[str]:
    """Return what the command says about words of this kind."""
    lines = []
    for words in COMMANDS:
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            command([word.replace("\0", "") for word in words(text)])
        lines += said.getvalue().removesuffix("\n").split("\n")
    return lines
