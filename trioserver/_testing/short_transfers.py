"""Let a receive or a send transfer less than it was asked for."""

from __future__ import annotations

from trioserver._testing.errnos import TRANSFERS_PART


def can_be_short(operation: str, arguments: tuple[object, ...]) -> bool:
    """Whether *operation* is asked for more than one byte."""
    if operation not in TRANSFERS_PART:
        return False
    match arguments[0]:
        case int(count):
            return count > 1
        case list(buffers):
            return sum(map(len, buffers)) > 1
        case bytes() | bytearray() | memoryview() as data:
            return len(data) > 1
        case _:
            return False


def shortened(arguments: tuple[object, ...]) -> tuple[object, ...]:
    """Return *arguments* that ask for one byte."""
    first, *others = arguments
    match first:
        case list(buffers):
            return ([b"".join(buffers)[:1]], *others)
        case bytes() | bytearray() | memoryview() as data:
            return (memoryview(data)[:1], *others)
        case _:
            return (1, *others)
