"""Accept connections from a listening socket, and tell its errors apart."""

from __future__ import annotations

import enum
import errno
import select
import selectors
import socket
from typing import Final

import trio

from trioserver._sockets.polled import has_events
from trioserver._waiting import SelfWaiting, wait_readable


def _errnos(*names: str) -> frozenset[int]:
    """Return the numbers of those *names* that this system has."""
    return frozenset(getattr(errno, name) for name in names if hasattr(errno, name))


# The process or the machine has run out of something; only time can help. ENOSPC is
# what epoll_ctl(2) says at the limit of max_user_watches, while a listener waits.
CAPACITY_ERRNOS: Final = _errnos("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ENOSPC")

# The listener itself will never accept again: closed, not listening, no socket.
# gevent ends on the same three; EFAULT can only come from a broken interpreter.
BROKEN_ERRNOS: Final = _errnos("EBADF", "EINVAL", "ENOTSOCK", "EFAULT")


class AcceptFailure(enum.Enum):
    """What an error of ``accept()`` is about."""

    PEER = "peer"
    """One connection that is gone already. accept(2): "treat them like EAGAIN"."""

    CAPACITY = "capacity"
    """Something the system has run out of."""

    LISTENER = "listener"
    """The listening socket."""


def classify(error: OSError) -> AcceptFailure:
    """Return what *error* is about.

    Every errno that accept(2) lists for one connection, and any unknown one, is
    about the peer: an overridden ``get_request()`` raises `ssl.SSLError` and
    `TimeoutError`, and neither must end the server.
    """
    if error.errno in CAPACITY_ERRNOS:
        return AcceptFailure.CAPACITY
    if error.errno in BROKEN_ERRNOS:
        return AcceptFailure.LISTENER
    return AcceptFailure.PEER


async def accept(listener: socket.socket) -> tuple[socket.socket, object]:
    """Wait for a connection. Return its socket, and the address that came with it.

    The caller owns the socket, and has to note that it is open.

    The address is never asked for again: after an early reset there is none
    (CVE-2024-49769).

    Raises:
        OSError: As `classify` tells apart.
        trio.ClosedResourceError: If the listener was closed meanwhile.

    Cancellation:
        Nothing was accepted: there is no checkpoint once a connection is there.
    """
    await trio.lowlevel.checkpoint_if_cancelled()
    has_waited = False
    while True:
        try:
            sock, address = listener.accept()
        except BlockingIOError:
            # Somebody else was faster, or nobody will ever connect.
            if has_waited and _is_shut(listener):
                message = "it was shut down"
                raise OSError(errno.EINVAL, message) from None
            await wait_readable(listener)
            has_waited = True
        else:
            return sock, address


# What poll() says of a listener that was shut down; Windows has no poll().
_SHUT_EVENTS: Final = getattr(select, "POLLHUP", 0) | getattr(select, "POLLRDHUP", 0)


def is_listening(sock: socket.socket) -> bool:
    """Whether connections can be accepted from *sock*."""
    try:
        accepts = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:
        return False
    return bool(accepts) and not _is_shut(sock)


def _is_shut(listener: socket.socket) -> bool:
    """Whether anybody who has *listener*, in any process, has shut it down.

    TCP ends to listen then. On Linux, a Unix socket goes on by all that it says: it can
    be read for ever, accept(2) says EAGAIN and SO_ACCEPTCONN 1, and who connects is
    refused. Only poll(2) tells (measured).
    """
    if isinstance(listener, SelfWaiting):
        return False
    return has_events(listener, _SHUT_EVENTS)


# As socketserver chooses: poll() has no limit on the number of a descriptor, and
# needs none of its own as epoll does.
_Selector: Final = getattr(selectors, "PollSelector", selectors.SelectSelector)


def has_queued(listener: socket.socket) -> bool:
    """Whether a connection waits to be accepted from *listener*."""
    if listener.fileno() == -1:
        return False
    if isinstance(listener, SelfWaiting):
        return listener.waiting.is_readable
    with _Selector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        return bool(selector.select(0))
