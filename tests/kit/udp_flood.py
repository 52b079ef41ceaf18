"""Memory of a UDP server in a flood, with a handler that is slow.

    python tests/kit/udp_flood.py [--limit 100] [--seconds 5] [--sessions]

Two senders send as fast as they can, from more and more addresses with ``--sessions``.
Prints how much the resident memory of the server's process has grown, and what became
of the datagrams.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import socket
from pathlib import Path
from typing import Final

import trio

import trioserver

HOST: Final = "127.0.0.1"
PAYLOAD: Final = b"x" * 64

# Seconds that a handler takes for one datagram.
SLOWNESS: Final = 1.0


class SlowHandler(trioserver.DatagramRequestHandler):
    """Needs a second for each datagram, and answers it."""

    async def handle(self) -> None:
        await trio.sleep(SLOWNESS)
        self.wfile.write(self.packet)


class SlowSessionHandler(trioserver.DatagramSessionHandler):
    """The same for each datagram of a session."""

    async def handle(self) -> None:
        async for data in self.session:
            await trio.sleep(SLOWNESS)
            await self.session.send(data)


def flood(port: int, *, from_everywhere: bool) -> None:
    """Send for ever."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((HOST, port))
    while True:
        for _ in range(100):
            sock.send(PAYLOAD)
        if from_everywhere:
            sock.close()
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.connect((HOST, port))


def resident_bytes() -> int:
    """Return the memory that this process really uses."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


async def measure(server: trioserver.UDPServer, seconds: float) -> None:
    """Serve in a flood, and print what it has cost."""
    is_session_server = isinstance(server, trioserver.UDPSessionServer)
    senders = [
        multiprocessing.get_context("spawn").Process(
            target=flood,
            args=(server.server_address[1],),
            kwargs={"from_everywhere": is_session_server},
            daemon=True,
        )
        for _ in range(2)
    ]
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve)
        before = resident_bytes()
        for sender in senders:
            sender.start()
        await trio.sleep(seconds)
        while server.statistics().dropped_by_kernel == 0:  # noqa: ASYNC110  # nobody tells
            # No flood yet: the senders have not begun, on a machine that is busy.
            await trio.sleep(seconds)
        after = resident_bytes()
        for sender in senders:
            sender.kill()
        in_flight = server.requests_in_flight
        print(f"growth: {(after - before) / 2**20:.1f} MiB in {seconds:g} s")
        print(f"requests in flight: {in_flight}")
        print(server.statistics())
        server.daemon_requests = True
        await server.shutdown()


def main() -> None:
    """Read the command line, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, help="max_concurrent_requests")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--sessions", action="store_true", help="a UDPSessionServer")
    parser.add_argument("--max-sessions", type=int, default=1000)
    options = parser.parse_args()
    server: trioserver.UDPServer
    if options.sessions:
        server = session_server = trioserver.UDPSessionServer(
            (HOST, 0), SlowSessionHandler
        )
        session_server.max_sessions = options.max_sessions
    else:
        server = trioserver.UDPServer((HOST, 0), SlowHandler)
    if options.limit is not None:
        limit = math.inf if options.limit == math.inf else int(options.limit)
        server.max_concurrent_requests = limit
    trio.run(measure, server, options.seconds)


if __name__ == "__main__":
    main()
