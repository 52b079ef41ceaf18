"""What is replaced on the object while it is driven, and put back in the end."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, final

_MISSING: Final = object()


@final
class ClosingOnce:
    """The object's own ``server_close()``, called once, by whoever comes first."""

    def __init__(self, server: socketserver.TCPServer) -> None:
        self._close = server.server_close
        # An override may call server.server_close() again.
        self._lock = threading.RLock()
        self._is_called = False

    def __call__(self) -> None:
        """Call it, or wait until the thread that does has returned from it."""
        with self._lock:
            if not self._is_called:
                self._is_called = True
                self._close()


@contextmanager
def replaced(owner: object, name: str, value: object) -> Generator[None]:
    """Let *owner* have *value* as its own attribute *name* while the block runs."""
    before = vars(owner).get(name, _MISSING)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is _MISSING:
            delattr(owner, name)
        else:
            setattr(owner, name, before)
