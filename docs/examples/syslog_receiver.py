"""Print what programs log to syslog (RFC 3164), over UDP or a Unix socket.

Run ``python syslog_receiver.py localhost:9999``, then log something to it:
``logger --udp --server localhost --port 9999 hello``. With a path instead,
``python syslog_receiver.py ./log`` and ``logger --socket ./log hello``.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress

import trio

import trioserver

SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")


class SyslogHandler(trioserver.DatagramRequestHandler):
    """Writes nothing to wfile, and so nothing is sent."""

    async def handle(self) -> None:
        text = self.packet.decode("utf-8", "replace").rstrip("\0\n")
        matched = re.match(r"<(\d{1,3})>(.*)", text, re.DOTALL)
        if matched is None:
            return  # The priority comes first, or it is no message.
        severity = SEVERITIES[int(matched[1]) % 8]
        # What comes from others may hold line ends, and commands for terminals.
        print(f"{severity}: {matched[2]!a}", flush=True)


def make_server(where: str) -> trioserver.UDPServer:
    if "/" in where:
        return trioserver.UnixDatagramServer(where, SyslogHandler)
    host, _, port = where.rpartition(":")
    return trioserver.UDPServer((host, int(port)), SyslogHandler)


if __name__ == "__main__":
    server = make_server(sys.argv[1] if len(sys.argv) > 1 else "localhost:9999")
    address = server.server_address
    where = address if isinstance(address, str) else "{}:{}".format(*address)
    print(f"Syslog on {where}", flush=True)
    with suppress(KeyboardInterrupt):
        trio.run(server.serve)
