"""What a child leaves behind for its parent's log, besides its exit status."""

from __future__ import annotations

import mmap
import struct
from typing import Final, final

# The level of the log, and the length of the text.
_HEADER: Final = struct.Struct("=BH")

# Bytes. What `describe` returns is shorter.
_MAX_TEXT: Final = 1000


@final
class ExitNote:
    """One line of text in memory that a child shares with its parent.

    Not a pipe, because a child shall have no descriptor but those that it knows of, and
    because nobody has to read it in time. It costs 10 µs.
    """

    __slots__ = ("_memory",)

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _HEADER.size + _MAX_TEXT)

    def write(self, level: int, text: str) -> None:
        """Say, in the child, what *level* the end has in the log, and why it came."""
        data = text.encode("ascii", "backslashreplace")[:_MAX_TEXT]
        end = _HEADER.size + len(data)
        self._memory[_HEADER.size : end] = data
        # Last: a child may be killed in the midst of it.
        self._memory[: _HEADER.size] = _HEADER.pack(level, len(data))

    def read(self) -> tuple[int, str] | None:
        """Return the level and the text, or None if nothing was written."""
        level, length = _HEADER.unpack(self._memory[: _HEADER.size])
        if not length:
            return None
        return level, self._memory[_HEADER.size : _HEADER.size + length].decode("ascii")

    def close(self) -> None:
        """Give the memory back, in this process."""
        self._memory.close()
