"""Calls of the system that fail, one after the other: a place for that by strace."""

from __future__ import annotations

from soak.bench import Bench
from soak.verdicts import Outcome


async def check_system_faults(bench: Bench) -> Outcome:
    """Say that it is not here yet."""
    return Outcome("system-faults", "nothing", [], notes=["not here yet"])
