"""Step 1: nothing changes but who drives the server."""

from __future__ import annotations

import trio
from migration_0_before import StoreServer

import trioserver

if __name__ == "__main__":
    server = StoreServer(("127.0.0.1", 9999))
    trio.run(trioserver.serve_socketserver, server)
