"""The sockets that threads are given, and how Trio's thread ends a wait on them."""

from __future__ import annotations

import logging
import socket
from typing import Self, final

from trioserver._log import describe, log
from trioserver._open_descriptors import note_open
from trioserver._sockets.close import close_socket


def make_blocking(sock: socket.socket) -> socket.socket:
    """Return *sock* as `socket.socket.accept` of a blocking listener returns it."""
    sock.settimeout(socket.getdefaulttimeout())
    return sock


@final
class Interruption:
    """Ends whatever waits on a connection, from another thread.

    To close a socket does not end a ``recv`` that waits on it, and frees the number of
    its descriptor for something else. To shut it down does, and harms nobody if it is
    done through a descriptor of its own (measured; the handler may have closed its).
    """

    __slots__ = ("_duplicate",)

    def __init__(self, request: object) -> None:
        """Be prepared to interrupt what waits on *request*, if it is a stream socket.

        Raises:
            OSError: If there is no descriptor left.
        """
        self._duplicate: socket.socket | None = None
        if isinstance(request, socket.socket) and request.fileno() != -1:
            self._duplicate = note_open(
                socket.socket(
                    request.family,
                    request.type,
                    request.proto,
                    fileno=socket.dup(request.fileno()),
                )
            )

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the descriptor."""
        if self._duplicate is not None:
            close_socket(self._duplicate)

    def strike(self) -> None:
        """Let every call that waits on the connection return or fail, now and later."""
        if self._duplicate is not None:
            shut_down(self._duplicate)


def shut_down(sock: socket.socket) -> None:
    """Let every call on the connection return or fail, now and later."""
    try:
        # Not the method of a subclass: the one of TLS forgets what was agreed on.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError as error:
        # Reset by the peer, for one: then nothing waits on it.
        log(logging.DEBUG, f"Interrupting a request said {describe(error)}")
