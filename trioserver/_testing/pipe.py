"""`Pipe`: what one end of a stream in memory has sent, and the other has not read."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final, final

from trioserver._testing.path import Path, now

# What may be on its way beside data.
_END: Final = b""
_RESET: Final = None


@final
class Pipe:
    """One direction of a stream.

    No task moves anything: whoever looks at a pipe first takes what has arrived since
    the last look, and whoever waits for it knows when the next piece arrives.
    """

    __slots__ = (
        "_arrived",
        "_in_flight",
        "_size",
        "_wake",
        "has_ended",
        "is_reset",
        "path",
    )

    def __init__(self, path: Path, wake: Callable[[], None]) -> None:
        """Make an empty pipe along *path*; *wake* is called when it has changed."""
        self.path = path
        self.has_ended = False
        """Whether an end-of-file has arrived."""
        self.is_reset = False
        """Whether a reset has arrived."""
        self._wake = wake
        self._in_flight: deque[tuple[float, bytes | None]] = deque()
        self._arrived: deque[bytes] = deque()
        self._size = 0
        path.watch(self.settle, wake)

    # For the one who sends

    @property
    def room(self) -> int:
        """How many bytes can be sent now."""
        return max(0, self.path.link.window_bytes - self._size)

    @property
    def is_delivered(self) -> bool:
        """Whether all that was sent has arrived."""
        self.settle()
        return not self._in_flight

    def send(self, data: memoryview) -> int:
        """Send what there is room for. Return how much that is."""
        with data[: self.room] as taken:
            self._in_flight.extend(self.path.pieces(taken))
            self._size += len(taken)
            sent = len(taken)
        self._wake()
        return sent

    def send_eof(self) -> None:
        """Send an end-of-file."""
        self._in_flight.append((self.path.next_arrival(), _END))
        self._wake()

    def send_reset(self, not_before: float = -math.inf) -> None:
        """Send a reset, now or at a time."""
        arrival = max(self.path.next_arrival(), not_before + self.path.link.delay)
        self._in_flight.append((arrival, _RESET))
        self._wake()

    # For the one who receives

    def settle(self) -> None:
        """Take what has arrived."""
        if self.path.link.is_cut:
            return
        time = now()
        while self._in_flight and self._in_flight[0][0] <= time and not self.is_reset:
            self._take(self._in_flight.popleft()[1])

    @property
    def next_arrival(self) -> float:
        """When the next piece arrives."""
        if not self._in_flight or self.path.link.is_cut:
            return math.inf
        return self._in_flight[0][0]

    @property
    def has_unread(self) -> bool:
        """Whether data have arrived."""
        return bool(self._arrived)

    @property
    def next_data(self) -> float:
        """When the next data arrive; never, if none are on their way."""
        if self.path.link.is_cut:
            return math.inf
        return next((arrival for arrival, piece in self._in_flight if piece), math.inf)

    def receive(self, max_bytes: int, *, is_peek: bool = False) -> bytes:
        """Return what has arrived, at most *max_bytes*; ``b""`` if nothing has."""
        taken: list[bytes] = []
        room = int(min(max_bytes, self.path.link.segment_bytes))
        while self._arrived and room:
            piece = self._arrived.popleft()
            if len(piece) > room:
                self._arrived.appendleft(piece[room:])
                piece = piece[:room]
            taken.append(piece)
            room -= len(piece)
        data = b"".join(taken)
        if is_peek and data:
            self._arrived.appendleft(data)
        elif data:
            self._size -= len(data)
            self._wake()
        return data

    def close(self) -> None:
        """Throw away all that is here, and what is on its way."""
        self._arrived.clear()
        self._in_flight.clear()
        self._size = 0
        self._wake()

    def _take(self, piece: bytes | None) -> None:
        if piece:
            self._arrived.append(piece)
        elif piece is _RESET:
            self.is_reset = True
            self._in_flight.clear()
        else:
            self.has_ended = True
