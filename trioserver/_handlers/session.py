"""`DatagramSessionHandler`: what handles all datagrams of one peer."""

from __future__ import annotations

from trioserver._datagrams.session import DatagramSession
from trioserver._handlers.base import BaseRequestHandler


class DatagramSessionHandler(BaseRequestHandler):
    """A request that is a session: one peer's datagrams, and the replies.

    socketserver has nothing like it.
    """

    session: DatagramSession
    """The same as `request`."""

    async def setup(self) -> None:
        """Set `session`."""
        self.session = self.request
