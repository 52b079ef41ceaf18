"""Take choices from bytes that somebody else makes up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Source:
    """Bytes as choices. When they are used up, every choice is the first one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._used = 0

    @property
    def is_used_up(self) -> bool:
        """Whether there are no more."""
        return self._used >= len(self._data)

    def number(self, most: int) -> int:
        """Return a number from 0 to *most*, which is 255 at the most."""
        return int.from_bytes(self.some(1)) % (most + 1)

    def one_of(self, choices: Sequence[T]) -> T:
        """Return one of *choices*."""
        return choices[self.number(len(choices) - 1)]

    def some(self, size: int) -> bytes:
        """Return *size* bytes, or what is left."""
        block = self._data[self._used : self._used + size]
        self._used += size
        return block

    def rest(self) -> bytes:
        """Return what is left."""
        return self.some(len(self._data))
