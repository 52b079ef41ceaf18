"""A stream in memory that delivers what the test says, split as the test says."""

from __future__ import annotations

import trio


class SegmentStream(trio.abc.ReceiveStream):
    """Delivers one segment a call, or the part of it that was asked for.

    A None among the segments cancels `scope`: the call that meets it receives
    nothing.
    """

    def __init__(self, *segments: bytes | None) -> None:
        self.segments = list(segments)
        self.asked: list[int | None] = []
        self.scope = trio.CancelScope()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        self.asked.append(max_bytes)
        segment = self.segments.pop(0) if self.segments else b""
        if segment is None:
            self.scope.cancel()
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        size = len(segment) if max_bytes is None else max_bytes
        if len(segment) > size:
            self.segments.insert(0, segment[size:])
        return segment[:size]

    async def aclose(self) -> None:
        """Nothing to close."""
