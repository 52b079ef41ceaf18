"""asyncio's protocols on uvloop: callbacks from an event loop in C."""

from __future__ import annotations

import uvloop

from benchmarks.peers.asyncio_protocols import services

SERVICES = services(uvloop.run)
