"""The directory that a socket's file is in, held open."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Final

import attrs

from trioserver._sockets.unix_path import MAX_PATH_BYTES

# A descriptor that only stands for the place: it needs no right to list it.
_PLACE: Final[int] = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC

# Device and inode: what a file is, whatever it is called.
Identity = tuple[int, int]


@attrs.frozen
class Directory:
    """An open directory: its names mean the same files, wherever it is moved to."""

    path: str
    descriptor: int

    def address_of(self, name: str) -> str:
        """Return the address of a socket called *name*, short enough for the kernel."""
        address = os.path.join(self.path, name)  # noqa: PTH118  # as short as it was given
        if len(os.fsencode(address)) <= MAX_PATH_BYTES:
            return address
        # Linux; elsewhere there is no way.
        return f"/proc/self/fd/{self.descriptor}/{name}"

    def status_of(self, name: str) -> os.stat_result | None:
        """Return the status of *name*, not of what it links to; None if it is free."""
        try:
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def identity_of(self, name: str) -> Identity | None:
        """Return which file *name* is; None if there is none."""
        status = self.status_of(name)
        return None if status is None else (status.st_dev, status.st_ino)

    def is_socket(self, name: str) -> bool:
        """Whether *name* is a socket."""
        status = self.status_of(name)
        return status is not None and stat.S_ISSOCK(status.st_mode)

    def names(self) -> list[str]:
        """Return all names in it; none, if it must not be listed."""
        with suppress(OSError), _opened(".", os.O_RDONLY, self.descriptor) as listing:
            return os.listdir(listing)  # noqa: PTH208  # Path cannot list a descriptor
        return []

    def open(self, name: str, flags: int, mode: int) -> int:
        """Open a file in it, which must not be a link. Return the descriptor."""
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, mode, dir_fd=self.descriptor)

    def rename(self, old: str, new: str) -> None:
        """Call *old* by the name of *new*, whose file is gone with that."""
        os.rename(old, new, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def unlink(self, name: str) -> None:
        """Remove *name*, if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)


@contextmanager
def opened(path: str) -> Generator[Directory]:
    """Hold the directory at *path* open while the block runs.

    Raises:
        OSError: If there is no such directory.
    """
    with _opened(path, _PLACE) as descriptor:
        yield Directory(path, descriptor)


@contextmanager
def _opened(path: str, flags: int, beside: int | None = None) -> Generator[int]:
    descriptor = os.open(path, flags, dir_fd=beside)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
