"""What threads and children tell the process that makes the trouble."""

from __future__ import annotations

import io
import mmap
import os
import pickle
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, Self, cast, final

from trioserver._testing.fault import Fault

# Characters. pipe(7), PIPE_BUF: 4096 bytes are written in one piece, or not at all.
_MOST_TEXT: Final = 1000

# More than the pipe of one run ever has in it.
_ALL: Final = 1 << 20

_NUMBER: Final = struct.Struct("Q")


@final
class Dispatches:
    """Carries what was made to happen elsewhere, and what was found there.

    Through pipes: they need no lock, which a child that is killed would keep.
    """

    def __init__(self) -> None:
        self._token, self._put_token = _pipe()
        self._inbox, self._outbox = _pipe()
        # Anonymous, and so it is the same memory in children.
        self._most = mmap.mmap(-1, _NUMBER.size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in (self._token, self._put_token, self._inbox, self._outbox):
            os.close(descriptor)
        self._most.close()

    def start_anew(self) -> None:
        """Forget everything: another run begins."""
        self.withdraw()
        list(self.receive())
        _NUMBER.pack_into(self._most, 0, 0)
        os.write(self._put_token, b"!")

    # For who makes trouble, wherever that is

    def claim(self) -> bool:
        """Whether the caller may make the trouble: one in each run may."""
        return bool(_read(self._token, 1))

    def count(self, moments: int) -> None:
        """Note that there were so many moments in one thread, or one child."""
        # Two at once may lose one of two numbers: it is no more than where to stop.
        if moments > self.most:
            _NUMBER.pack_into(self._most, 0, moments)

    def send(self, news: Fault | str) -> None:
        """Tell of a failure that is about to happen, or of what was wrong, in words."""
        if isinstance(news, str):
            news = news[:_MOST_TEXT]
        with suppress(BlockingIOError):  # then there is more to be read than enough
            os.write(self._outbox, pickle.dumps(news))

    # For the run

    @property
    def most(self) -> int:
        """The most moments that there were in a thread, or in a child."""
        return cast("int", _NUMBER.unpack_from(self._most)[0])

    def withdraw(self) -> None:
        """Let nobody make trouble any more."""
        self.claim()

    def receive(self) -> Iterator[Fault | str]:
        """Yield what was sent."""
        news = io.BytesIO(_read(self._inbox, _ALL))
        while news.tell() < len(news.getbuffer()):
            # S301: from nobody but this process, and what it has forked.
            yield cast("Fault | str", pickle.load(news))  # noqa: S301  # see above


def _pipe() -> tuple[int, int]:
    """Return a pipe of which no end ever waits."""
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends


def _read(descriptor: int, length: int) -> bytes:
    try:
        return os.read(descriptor, length)
    except BlockingIOError:
        return b""
