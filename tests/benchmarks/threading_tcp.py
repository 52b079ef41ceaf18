"""Requests per CPU second of `ThreadingTCPServer`, here and in the standard library.

Not part of the suite: run it as ``python tests/benchmarks/threading_tcp.py [SECONDS]``.
Each server is a process of its own, with the same handler; the clients are another
process. What counts is the processor time that the server's process has used.
"""

from __future__ import annotations

import os
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

import trio

import trioserver

CLIENTS: Final = 8
LINE: Final = b"hello world, as fast as you can\n"


class UpperHandler(socketserver.StreamRequestHandler):
    """Answers each line in upper case."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line.upper())


def serve_here() -> None:
    """Serve with trioserver until standard input ends."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            server = trioserver.ThreadingTCPServer(("127.0.0.1", 0), UpperHandler)
            await nursery.start(server.serve)
            announce(server.server_address)
            await trio.to_thread.run_sync(sys.stdin.read)
            await server.shutdown()

    trio.run(main)


def serve_there() -> None:
    """Serve with the standard library until standard input ends."""
    socketserver.ThreadingTCPServer.request_queue_size = 1000
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), UpperHandler) as server:
        announce(server.server_address)
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        sys.stdin.read()
        server.shutdown()


SERVERS: Final = {"socketserver": serve_there, "trioserver": serve_here}


def announce(address: object) -> None:
    """Tell the parent where to connect."""
    print(address[1], flush=True)  # type: ignore[index]  # (host, port)


def connect_line_close(port: int, until: float) -> int:
    """Connect, ask one line, close; again and again. Return how often."""
    count = 0
    while time.monotonic() < until:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            ask(sock)
        count += 1
    return count


def echo(port: int, until: float) -> int:
    """Ask line after line on one connection. Return how many."""
    count = 0
    with socket.create_connection(("127.0.0.1", port)) as sock:
        while time.monotonic() < until:
            ask(sock)
            count += 1
    return count


def ask(sock: socket.socket) -> None:
    """Send a line, and receive the answer."""
    sock.sendall(LINE)
    left = len(LINE)
    while left:
        left -= len(sock.recv(left))


SCENARIOS: Final = {"connect-line-close": connect_line_close, "echo": echo}


def load(
    scenario: Callable[[int, float], int], port: int, seconds: float
) -> tuple[int, float]:
    """Let many clients play *scenario*. Return the requests, and seconds it took."""
    counts: list[int] = []
    begin = time.monotonic()

    def play() -> None:
        counts.append(scenario(port, begin + seconds))

    clients = [threading.Thread(target=play) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return sum(counts), time.monotonic() - begin


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used so far, as proc(5) has it."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123  # a string is enough
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(name: str, scenario: str, seconds: float) -> None:
    """Print what one server does in one scenario."""
    command = [sys.executable, __file__, "--serve", name]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        load(SCENARIOS[scenario], port, 0.5)  # warm up
        before = processor_seconds(process.pid)
        requests, elapsed = load(SCENARIOS[scenario], port, seconds)
        used = processor_seconds(process.pid) - before
        process.communicate()
    print(
        f"{scenario:20} {name:13} {requests / used:8.0f} requests per CPU second"
        f" {requests / elapsed:8.0f} per second"
    )


def main(arguments: list[str]) -> None:
    """Serve, or measure."""
    if arguments[:1] == ["--serve"]:
        SERVERS[arguments[1]]()
        return
    seconds = float(arguments[0]) if arguments else 5.0
    for scenario in SCENARIOS:
        for name in SERVERS:
            measure(name, scenario, seconds)


if __name__ == "__main__":
    main(sys.argv[1:])
