"""`DatagramRequestHandler`: a datagram, and the reply to it, as files."""

from __future__ import annotations

import io
import logging

from trioserver._datagrams.datagram_socket import DatagramSocket
from trioserver._datagrams.replies import is_answerable
from trioserver._handlers.base import BaseRequestHandler
from trioserver._log import escape, log


class DatagramRequestHandler(BaseRequestHandler):
    """A request that is a datagram, with ``rfile`` to read and ``wfile`` to write.

    Like socketserver's; both are in memory, so nothing about them is asynchronous.
    """

    packet: bytes
    """The datagram."""

    socket: DatagramSocket
    """What sends datagrams to the client, or to anybody else."""

    rfile: io.BytesIO
    """The datagram as a file."""

    wfile: io.BytesIO
    """The reply, which is sent as one datagram when `handle` has returned."""

    async def setup(self) -> None:
        """Make `rfile` and `wfile`."""
        self.packet, self.socket = self.request
        self.rfile = io.BytesIO(self.packet)
        self.wfile = io.BytesIO()

    async def finish(self) -> None:
        """Send what was written to `wfile`, if `handle` has returned.

        Like socketserver's, but nothing written is nothing sent, what a failing
        `handle` has written stays here, and a client without an address, or with port
        0, is no error.

        Raises:
            OSError: If it cannot be sent.
        """
        if not self._reply_now():
            await self.socket.sendto(self.wfile.getvalue(), self.client_address)

    async def _finish(self) -> None:
        # A reply that need not wait need not be protected from a cancellation.
        ours = DatagramRequestHandler.finish
        is_ours = getattr(self.finish, "__func__", None) is ours
        if not is_ours or not self._reply_now():
            await super()._finish()

    def _reply_now(self) -> bool:
        """Send the reply, if there is one. Return False if it would have to wait."""
        reply = self.wfile.getvalue()
        if not reply or not self._has_succeeded:
            return True
        if not is_answerable(self.client_address):
            log(
                logging.DEBUG,
                f"A reply of {len(reply)} bytes was dropped: its client on "
                f"{escape(self.server.server_address)} has no address",
            )
            return True
        return self.socket.sendto_nowait(reply, self.client_address)
