"""Find what a piece of code has left behind: descriptors, threads, children, tasks."""

from __future__ import annotations

import gc
import os
import socket
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self, final

import attrs
import trio

from trioserver._testing.await_frames import describe_task
from trioserver._testing.memory_socket import open_in_memory
from trioserver._testing.options import check_seconds, checked_paths
from trioserver._testing.task_tree import all_tasks

_PROCESS: Final = "/proc/self"

# Seconds between two looks at threads and children that are about to end.
_NEXT_LOOK: Final = 0.001


class LeakError(AssertionError):
    """Something was left behind.

    An `AssertionError`, so that test runners report a failure.
    """

    def __init__(self, leaks: list[str]) -> None:
        super().__init__(leaks)
        self.leaks = leaks
        """What it is, each in words."""

    def __str__(self) -> str:
        return "\n- ".join(["left behind:", *self.leaks])


@final
@attrs.frozen
class Snapshot:
    """What this process holds at one moment.

    On systems without ``/proc``, descriptors and children are not seen.
    """

    descriptors: Mapping[int, str]
    """The open descriptors, and what each of them is."""
    threads: frozenset[str]
    """The threads, without those that Trio keeps for later."""
    children: frozenset[str]
    """The child processes, zombies included, by their numbers."""
    tasks: frozenset[trio.lowlevel.Task]
    """The tasks of the Trio run in this thread, if there is one."""
    files: frozenset[str]
    """What lies below the paths that were asked for."""

    @classmethod
    def take(
        cls, paths: Iterable[str | os.PathLike[str]] = (), *, collect: bool = True
    ) -> Self:
        """Look at what there is now.

        Args:
            paths: Directories whose files count, too.
            collect: Whether to collect garbage first. What only the garbage collector
                closes is otherwise open by chance.
        """
        if collect:
            gc.collect()
        # First: what ends while we look may close something, and shall be waited for.
        threads, children = frozenset(_threads()), frozenset(_children())
        return cls(
            open_descriptors(),
            threads,
            children,
            frozenset(all_tasks()),
            frozenset(_files(paths)),
        )

    def left_behind(self, before: Snapshot) -> list[str]:
        """Return what is here and was not there *before*, in words."""
        return [
            *(
                f"descriptor {number} -> {_describe_descriptor(number, target)}"
                for number, target in self.descriptors.items()
                if before.descriptors.get(number) != target
            ),
            *(f"thread {name}" for name in sorted(self.threads - before.threads)),
            *(
                f"child {_describe_child(pid)}"
                for pid in sorted(self.children - before.children)
            ),
            *sorted(
                f"task {describe_task(task)}" for task in self.tasks - before.tasks
            ),
            *(f"file {path}" for path in sorted(self.files - before.files)),
        ]

    def is_ending(self, before: Snapshot) -> bool:
        """Whether there are new threads or children: such may be about to end."""
        return bool(self.threads - before.threads or self.children - before.children)


@contextmanager
def find_leaks(
    *, paths: Iterable[str | os.PathLike[str]] = (), patience: float = 1.0
) -> Generator[None]:
    """Fail if the block leaves anything behind that was not there before.

    It counts open descriptors, threads, child processes, and the files below *paths*;
    inside a Trio run, tasks as well. An error in the block surfaces as itself, and
    nothing is counted then.

    Args:
        paths: Directories in which no file may be left.
        patience: Seconds that threads and children may still take to end. They are
            waited for where they are, inside a Trio run, too: nothing else runs.

    Raises:
        LeakError: If something was left behind.
    """
    paths = checked_paths(paths)
    check_seconds("patience", patience)
    before = Snapshot.take(paths)
    yield
    if leaks := leaks_since(before, paths, patience=patience):
        raise LeakError(leaks)


def leaks_since(
    before: Snapshot,
    paths: Iterable[str | os.PathLike[str]] = (),
    *,
    patience: float,
    tasks: bool = True,
) -> list[str]:
    """Return what is there and was not *before*, after some patience.

    Args:
        before: What was there then.
        paths: Directories whose files count, too.
        patience: Seconds to wait for threads and children that are about to end.
        tasks: Whether tasks count.
    """
    deadline = time.monotonic() + patience
    now = Snapshot.take(paths)
    while now.is_ending(before) and time.monotonic() < deadline:
        threading.Event().wait(_NEXT_LOOK)
        now = Snapshot.take(paths, collect=False)
    return (now if tasks else attrs.evolve(now, tasks=before.tasks)).left_behind(before)


def open_descriptors() -> dict[int, str]:
    """Return the descriptors of this process, and what each of them is.

    Sockets of a `MemoryNetwork` count as well.
    """
    found = open_in_memory()
    directory = f"{_PROCESS}/fd"
    for number in _listed(directory):
        # The listing's own descriptor is closed by now.
        with suppress(FileNotFoundError):
            target = os.readlink(f"{directory}/{number}")  # noqa: PTH115  # see below
            found[int(number)] = target
    return found


def _listed(directory: str) -> list[str]:
    """Return the names in *directory*; none, if the system has no such.

    Plain strings: with paths as objects, a snapshot takes four times as long.
    """
    with suppress(FileNotFoundError):
        return os.listdir(directory)  # noqa: PTH208  # see above
    return []


def _threads() -> Iterator[str]:
    for thread in threading.enumerate():
        # Trio keeps idle worker threads for ten seconds, for the next run to use.
        if not thread.name.startswith("Trio thread"):
            yield f"{thread.name} ({thread.ident})"


def _children() -> Iterator[str]:
    for thread in _listed(f"{_PROCESS}/task"):
        # An idle worker thread of Trio's may end while we look.
        with suppress(FileNotFoundError, ProcessLookupError):
            yield from Path(_PROCESS, "task", thread, "children").read_text().split()


def _files(paths: Iterable[str | os.PathLike[str]]) -> Iterator[str]:
    for path in paths:
        yield from map(str, Path(path).rglob("*"))


def _describe_descriptor(number: int, target: str) -> str:
    """Return what a descriptor is: of a socket, its addresses as well."""
    if not target.startswith("socket:"):
        return target
    with suppress(OSError), socket.socket(fileno=os.dup(number)) as sock:
        target += f" at {sock.getsockname()}"
        target += f", connected to {sock.getpeername()}"
    return target


def _describe_child(pid: str) -> str:
    with suppress(OSError):
        name, _, state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")
        kind = ", a zombie" if state.startswith("Z") else ""
        return f"{pid} ({name.partition(' (')[2]}{kind})"
    return f"{pid}, which has ended meanwhile"
