"""One process at a time: a lock file beside a socket's file.

Whoever looks at a path and then changes what is there holds it meanwhile, for some
hundred microseconds: two servers that start never both find the path free, and a server
that ends never removes the file of its successor. The kernel releases the lock of a
process that is killed. Nothing is left on disk, except by a process that was killed
while it held the lock: its empty file is in nobody's way, and the next one to take the
lock removes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Final

from trioserver._log import escape
from trioserver._sockets.unix_directory import Directory

# Seconds to try for. Only a process that is stopped in the midst of it, or that means
# us ill, holds it for so long.
CLAIM_PATIENCE: Final = 5.0

# Seconds between two tries.
_PAUSE: Final = 0.001

# Nobody else needs to read it, and who can open it can hold the lock: so only we.
_LOCK_MODE: Final = 0o600


@contextmanager
def locked(
    directory: Directory, name: str, patience: float = CLAIM_PATIENCE
) -> Generator[None]:
    """Keep other processes from changing what *name* is while the block runs.

    Args:
        directory: Where it is.
        name: The name of a socket's file, existing or not.
        patience: Seconds to wait for others, who are done at once normally. It blocks
            meanwhile: a constructor cannot wait in any other way.

    Raises:
        OSError: If the lock file cannot be opened, or others keep it for too long.
    """
    lock = f".{name}.lock"
    descriptor = _acquired(directory, lock, time.monotonic() + patience)
    try:
        yield
    finally:
        # Before it is released, so that nobody else's is removed.
        with suppress(OSError):
            directory.unlink(lock)
        os.close(descriptor)


def _acquired(directory: Directory, lock: str, deadline: float) -> int:
    """Return the descriptor of the locked file."""
    while True:
        # Read and write: then it does not wait, even if somebody has put a FIFO there.
        descriptor = directory.open(lock, os.O_RDWR | os.O_CREAT, _LOCK_MODE)
        try:
            if _holds(directory, lock, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if time.monotonic() >= deadline:
            message = (
                f"another process holds the lock file {escape(lock)} in its directory: "
                "is it stopped? The file may be removed"
            )
            raise OSError(errno.ETIMEDOUT, message)
        # Not time.sleep(), which nothing in this library calls.
        select.select((), (), (), _PAUSE)


def _holds(directory: Directory, lock: str, descriptor: int) -> bool:
    """Whether *descriptor* has the lock, and the file is still the one to lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    status = os.fstat(descriptor)
    return directory.identity_of(lock) == (status.st_dev, status.st_ino)
