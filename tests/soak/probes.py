"""What the system says about a process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

MIB: Final = 2**20


def resident_bytes(pid: int | str = "self") -> int:
    """Return the memory that a process really uses."""
    status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def count_descriptors(pid: int | str = "self") -> int:
    """Return how many files a process has open."""
    # The listing has one of its own when it is of this process.
    return len(os.listdir(f"/proc/{pid}/fd")) - (pid == "self")  # noqa: PTH208


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, in ticks of ten milliseconds."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2]
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
