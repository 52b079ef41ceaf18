"""Standard output and standard error, around a fork."""

from __future__ import annotations

import sys
from contextlib import suppress


def flush_standard_streams() -> None:
    """Write what `print` has left in the buffers. What cannot be written is left."""
    for stream in (sys.stdout, sys.stderr):
        # It may be None, closed, or an object of the application's.
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
