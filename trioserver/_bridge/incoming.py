"""`Incoming`: a request of the object's, from its acceptance to its end."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import final

import trio

from trioserver._concurrency.request_sockets import Interruption
from trioserver._concurrency.without_thread import let_nothing_wait
from trioserver._engine.hooks import Request


@final
class Incoming(trio.abc.AsyncResource):
    """A request, and what is known about it that the object need not know."""

    __slots__ = (
        "_connection",
        "_interruption",
        "has_begun",
        "is_interrupted",
        "is_over",
        "needs_handshake",
        "request",
    )

    def __init__(
        self, request: Request, connection: socket.socket | None = None
    ) -> None:
        """Take over *request*, which has come over *connection* if it has one.

        Raises:
            OSError: If there is no descriptor left; the caller goes on owning both.
        """
        self.request = request
        """What the object's ``get_request()`` has returned, for its other hooks."""
        self.has_begun = False
        """Whether a thread has it: the object's own hooks report errors and close."""
        self.is_over = False
        """Whether that thread is done with it."""
        self.is_interrupted = False
        """Whether nobody wants it any more."""
        self.needs_handshake = False
        """Whether a TLS handshake comes first."""
        self._connection = connection
        self._interruption = Interruption(connection)

    def wrap(self, listener: ssl.SSLSocket) -> None:
        """Begin TLS as *listener* would have done it, but without the handshake."""
        assert self._connection is not None  # noqa: S101  # only listeners are wrapped
        self._connection = listener.context.wrap_socket(
            self._connection,
            server_side=True,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=getattr(listener, "suppress_ragged_eofs"),  # noqa: B009  # unknown to typeshed
        )
        self.request = self._connection
        self.needs_handshake = getattr(listener, "do_handshake_on_connect")  # noqa: B009  # unknown to typeshed

    def shake_hands(self, seconds: float | None) -> None:
        """Do the handshake, in a thread.

        Raises:
            OSError: If it fails, or is not over after so many *seconds*.
        """
        assert isinstance(self._connection, ssl.SSLSocket)  # noqa: S101  # see wrap()
        timeout = self._connection.gettimeout()
        self._connection.settimeout(seconds)
        self._connection.do_handshake()
        self._connection.settimeout(timeout)

    def interrupt(self) -> None:
        """End whatever a thread waits for on this connection."""
        self.is_interrupted = True
        self._interruption.strike()

    def let_nothing_wait(self) -> None:
        """Let every call on this connection, which no thread has, end at once."""
        let_nothing_wait(self._connection)

    def release(self) -> None:
        """Interrupt no more: the connection ends when the thread closes it."""
        self._interruption.__exit__()

    def close(self) -> None:
        """Close it without asking the object, unless a thread has it."""
        self.release()
        if self.has_begun and not self.is_over:
            return
        # The object may have put the connection into something else.
        for resource in (self._connection, self.request):
            close = getattr(resource, "close", None)
            if callable(close):
                with suppress(OSError):
                    close()

    async def aclose(self) -> None:
        """Do what `close` does."""
        self.close()
        await trio.lowlevel.checkpoint()
