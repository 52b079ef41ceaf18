"""Find what a test left behind: descriptors, threads, child processes."""

from __future__ import annotations

import gc
import threading
from contextlib import suppress
from pathlib import Path

import attrs


@attrs.frozen
class Snapshot:
    """What this process holds at one moment."""

    descriptors: dict[int, str]
    threads: set[str]
    children: set[str]

    @classmethod
    def take(cls) -> Snapshot:
        gc.collect()
        return cls(open_descriptors(), _threads(), _children())

    def left_behind(self, before: Snapshot) -> list[str]:
        """Return what is here and was not there *before*, in words."""
        new_descriptors = [
            f"descriptor {number} -> {target}"
            for number, target in self.descriptors.items()
            if before.descriptors.get(number) != target
        ]
        new_threads = [f"thread {name}" for name in self.threads - before.threads]
        new_children = [f"child {pid}" for pid in self.children - before.children]
        return new_descriptors + new_threads + new_children


def open_descriptors() -> dict[int, str]:
    """Return the descriptors of this process, and what each of them is."""
    found = {}
    for path in Path("/proc/self/fd").iterdir():
        # The listing's own descriptor is closed by now.
        with suppress(FileNotFoundError):
            found[int(path.name)] = str(path.readlink())
    return found


def _threads() -> set[str]:
    # Trio keeps idle worker threads for ten seconds, for the next run to use.
    return {
        f"{thread.name} ({thread.ident})"
        for thread in threading.enumerate()
        if not thread.name.startswith("Trio thread")
    }


def _children() -> set[str]:
    found: set[str] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        # An idle worker thread of Trio's may end while we look.
        with suppress(FileNotFoundError, ProcessLookupError):
            found.update(path.read_text().split())
    return found
