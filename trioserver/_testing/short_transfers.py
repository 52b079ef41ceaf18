"""Let a receive or a send transfer less than it was asked for."""

from __future__ import annotations

from typing import TypeAlias, cast

from trioserver._testing.errnos import TRANSFERS_PART

_Data: TypeAlias = bytes | bytearray | memoryview


def can_be_short(operation: str, arguments: tuple[object, ...]) -> bool:
    """Whether *operation* is asked for more than one byte."""
    return operation in TRANSFERS_PART and _length(arguments[0]) > 1


def shortened(arguments: tuple[object, ...]) -> tuple[object, ...]:
    """Return *arguments* that ask for one byte."""
    asked, *others = arguments
    if isinstance(asked, int):
        return (1, *others)
    if isinstance(asked, list):
        return ([b"".join(cast("list[bytes]", asked))[:1]], *others)
    return (memoryview(cast("_Data", asked))[:1], *others)


def _length(asked: object) -> int:
    """Return how many bytes are asked for: a number, buffers, or one buffer."""
    if isinstance(asked, int):
        return asked
    if isinstance(asked, list):
        return sum(map(len, cast("list[bytes]", asked)))
    return len(cast("_Data", asked))
