"""The time that one operation on a stream may take."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

import trio

from trioserver._exceptions import RequestTimeoutError

_NO_TIMEOUT: Final = nullcontext()


def operation_timeout(
    seconds: float | None, operation: str
) -> AbstractContextManager[None]:
    """Return a scope that gives up with `RequestTimeoutError`.

    Args:
        seconds: How long the operation may take. None: for ever.
        operation: What it is, for the message: "receiving", "sending".
    """
    return _NO_TIMEOUT if seconds is None else _timing_out(seconds, operation)


@contextmanager
def _timing_out(seconds: float, operation: str) -> Generator[None]:
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        message = f"{operation} took longer than {seconds:g} s"
        raise RequestTimeoutError(message)
