"""CPU time per datagram: trioserver beside asyncio, gevent and socketserver.

    python tests/benchmarks/udp_echo.py

Each server echoes for 50 clients, each of which has one datagram on its way. A server
is a process of its own, on a core of its own, and the clients are on another one; they
are a program in C, so that the server is always busy. The
figure is the CPU time of the server's process, from /proc, by the datagrams that came
back: it holds on a machine that is busy otherwise, where a rate does not. Rounds go in
turn, and only ratios of one run count. A server whose library is not installed is left
out.
"""

from __future__ import annotations

import argparse
import asyncio  # noqa: TID251  # one of those that are compared
import importlib
import importlib.util
import os
import socketserver
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio

import trioserver

HOST: Final = "127.0.0.1"

# The servers, each as its library's documentation has it.


def serve_trioserver() -> None:
    class Handler(trioserver.DatagramRequestHandler):
        async def handle(self) -> None:
            self.wfile.write(self.rfile.read())

    server = trioserver.UDPServer((HOST, 0), Handler)
    _announce(server.server_address[1])
    trio.run(server.serve)


def serve_trioserver_plain() -> None:
    class Handler(trioserver.BaseRequestHandler):
        async def handle(self) -> None:
            data, sock = self.request
            await sock.sendto(data, self.client_address)

    server = trioserver.UDPServer((HOST, 0), Handler)
    _announce(server.server_address[1])
    trio.run(server.serve)


def serve_trioserver_sessions() -> None:
    class Handler(trioserver.DatagramSessionHandler):
        async def handle(self) -> None:
            async for data in self.session:
                await self.session.send(data)

    server = trioserver.UDPSessionServer((HOST, 0), Handler)
    _announce(server.server_address[1])
    trio.run(server.serve)


def serve_asyncio() -> None:
    class Protocol(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # as its documentation has it
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            self.transport.sendto(data, addr)

    async def main() -> None:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            Protocol, local_addr=(HOST, 0)
        )
        _announce(transport.get_extra_info("sockname")[1])
        await asyncio.Event().wait()

    asyncio.run(main())


def serve_gevent() -> None:
    gevent = importlib.import_module("gevent.server")

    def handle(data: bytes, address: object) -> None:
        server.socket.sendto(data, address)

    server = gevent.DatagramServer((HOST, 0), handle)
    server.start()
    _announce(server.server_port)
    server.serve_forever()


def serve_socketserver() -> None:
    class Handler(socketserver.DatagramRequestHandler):
        def handle(self) -> None:
            self.wfile.write(self.rfile.read())

    server = socketserver.UDPServer((HOST, 0), Handler)
    _announce(server.server_address[1])
    server.serve_forever()


SERVERS: Final[dict[str, Callable[[], None]]] = {
    "trioserver": serve_trioserver,
    "trioserver, plain handler": serve_trioserver_plain,
    "trioserver, sessions": serve_trioserver_sessions,
    "asyncio": serve_asyncio,
    "gevent": serve_gevent,
    "socketserver": serve_socketserver,
}


def _announce(port: int) -> None:
    print(port, flush=True)


# Measuring


def compile_load(directory: Path) -> Path:
    """Compile the clients, and return the program."""
    program = directory / "udp_load"
    source = Path(__file__).with_name("udp_load.c")
    subprocess.run(["cc", "-O2", "-o", program, source], check=True)  # noqa: S607  # our own, with the system's compiler
    return program


def echo(load: Path, port: int, clients: int, datagrams: int) -> int:
    """Let *clients* be answered until *datagrams* have come back. Return how many."""
    command = [str(load), str(port), str(clients), str(datagrams)]
    return int(
        subprocess.run(command, check=True, capture_output=True).stdout
    )  # our own


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(name: str, load: Path, clients: int, datagrams: int) -> float:
    """Return the CPU microseconds that the server called *name* uses per datagram."""
    command = [sys.executable, __file__, "--serve", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # ourselves
        assert process.stdout is not None
        port = int(process.stdout.readline())
        echo(load, port, clients, datagrams // 10)
        before = cpu_seconds(process.pid)
        back = echo(load, port, clients, datagrams)
        used = cpu_seconds(process.pid) - before
        process.kill()
    return used / back * 1e6


def compare(
    names: list[str], load: Path, *, rounds: int, clients: int, datagrams: int
) -> None:
    """Measure all of them, in turn, and print the medians and their ratios."""
    figures: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            figures[name].append(measure(name, load, clients, datagrams))
    medians = {name: statistics.median(values) for name, values in figures.items()}
    print(f"CPU µs per datagram, median of {rounds}, {clients} clients")
    for name, median in medians.items():
        ratio = medians[names[0]] / median
        spread = f"{min(figures[name]):.1f}-{max(figures[name]):.1f}"
        print(f"{name:28} {median:6.1f}  ({spread:12})  {names[0]} / this: {ratio:.2f}")


def main() -> None:
    """Serve, or measure those that serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", choices=SERVERS, help="be one of the servers")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--datagrams", type=int, default=40_000, help="in each round")
    parser.add_argument("--only", nargs="*", default=list(SERVERS))
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if options.serve:
        os.sched_setaffinity(0, {cores[0]})
        SERVERS[options.serve]()
        return
    os.sched_setaffinity(0, {cores[-1]})
    installed = [
        name
        for name in options.only
        if name != "gevent" or importlib.util.find_spec("gevent")
    ]
    with tempfile.TemporaryDirectory() as directory:
        load = compile_load(Path(directory))
        compare(
            installed,
            load,
            rounds=options.rounds,
            clients=options.clients,
            datagrams=options.datagrams,
        )


if __name__ == "__main__":
    main()
