"""asyncio's streams on uvloop: https://uvloop.readthedocs.io/user/index.html."""

from __future__ import annotations

import uvloop

from benchmarks.peers.asyncio_streams import services

SERVICES = services(uvloop.run)
