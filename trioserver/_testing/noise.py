"""Record what Python says about things that nobody has taken care of."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager

# What was closed by the garbage collector only, and what was never awaited.
_CATEGORIES = (ResourceWarning, RuntimeWarning)


@contextmanager
def recorded_noise() -> Generator[list[str]]:
    """Record warnings of leaks, and errors that were raised where nobody is.

    Other warnings go where they would go otherwise.
    """
    noise: list[str] = []
    hooks = sys.unraisablehook, threading.excepthook

    def unraisable(error: sys.UnraisableHookArgs, /) -> None:
        what = f"{error.err_msg or 'exception ignored in'} {error.object!r}"
        noise.append(f"{what}: {error.exc_value!r}")

    def in_thread(error: threading.ExceptHookArgs, /) -> None:
        name = error.thread.name if error.thread else "?"
        noise.append(f"thread {name} has died of {error.exc_value!r}")

    with warnings.catch_warnings(record=True) as caught:
        for category in _CATEGORIES:
            warnings.simplefilter("always", category)
        sys.unraisablehook, threading.excepthook = unraisable, in_thread
        try:
            yield noise
        finally:
            sys.unraisablehook, threading.excepthook = hooks
            ours = [
                entry for entry in caught if issubclass(entry.category, _CATEGORIES)
            ]
            noise += [str(entry.message) for entry in ours]
    for entry in caught:
        if entry not in ours:
            warnings.showwarning(
                entry.message, entry.category, entry.filename, entry.lineno
            )
