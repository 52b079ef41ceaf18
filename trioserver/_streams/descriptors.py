"""Pass descriptors of open files over a Unix socket: one system call each."""

from __future__ import annotations

import array
import errno
import os
import socket
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import trio

from trioserver._exceptions import DescriptorsLostError, connection_lost

# Linux passes no more with one call (SCM_MAX_FD, unix(7)); others pass fewer.
MAX_DESCRIPTORS: Final = 253

# Closed in the programs that this process starts, from the first instant.
_CLOSE_ON_EXEC: Final[int] = getattr(socket, "MSG_CMSG_CLOEXEC", 0)

_ITEM_BYTES: Final = array.array("i").itemsize

_AF_UNIX: Final[int | None] = getattr(socket, "AF_UNIX", None)


class HasFileno(Protocol):
    """An open file, a socket, or anything else that has a descriptor."""

    def fileno(self) -> int:
        """Return the descriptor."""
        ...


def check_can_pass(sock: socket.socket) -> None:
    """Refuse a connection that is not local: TCP would drop descriptors in silence.

    Raises:
        OSError: If *sock* is no Unix socket.
    """
    if sock.family != _AF_UNIX:
        message = "only a Unix socket passes descriptors"
        raise OSError(errno.EOPNOTSUPP, message)


def descriptor_numbers(files: Iterable[int | HasFileno]) -> list[int]:
    """Return the descriptors of *files*.

    Raises:
        ValueError: If there are none, or more than can be sent at once.
    """
    numbers = [file if isinstance(file, int) else file.fileno() for file in files]
    if not 1 <= len(numbers) <= MAX_DESCRIPTORS:
        message = (
            f"1 to {MAX_DESCRIPTORS} descriptors can be sent at once, not "
            f"{len(numbers)}"
        )
        raise ValueError(message)
    return numbers


def send_descriptors(
    sock: socket.socket, data: memoryview, descriptors: Sequence[int]
) -> int:
    """Send *descriptors* with the first part of *data*. Return its length.

    Raises:
        BlockingIOError: If there is no room.
        ConnectionLostError: If the peer vanished.
        OSError: If it has no place for descriptors, or one of them is not open.
    """
    packed = array.array("i", descriptors)
    item = (socket.SOL_SOCKET, socket.SCM_RIGHTS, packed)
    try:
        return sock.sendmsg([data], [item])
    except BlockingIOError:
        raise
    except OSError as error:
        raise _stream_error(sock, error) from error


def receive_descriptors(
    sock: socket.socket, max_bytes: int, max_descriptors: int
) -> tuple[bytes, list[int]]:
    """Receive data, and the descriptors that have come with it.

    Raises:
        BlockingIOError: If nothing has come.
        ConnectionLostError: If the peer vanished.
        DescriptorsLostError: If not all of the descriptors could be received. Those
            that could are closed.
    """
    # Not CMSG_SPACE, whose padding has room for another one.
    room = socket.CMSG_LEN(max_descriptors * _ITEM_BYTES)
    try:
        data, items, flags, _ = sock.recvmsg(max_bytes, room, _CLOSE_ON_EXEC)
    except BlockingIOError:
        raise
    except OSError as error:
        raise _stream_error(sock, error) from error
    descriptors = _unpacked(items)
    if flags & socket.MSG_CTRUNC:
        _close(descriptors)
        raise DescriptorsLostError(data, max_descriptors)
    for descriptor in descriptors:
        # For the systems that have no such flag.
        os.set_inheritable(descriptor, False)
    return data, descriptors


def _unpacked(items: Iterable[tuple[int, int, bytes]]) -> list[int]:
    descriptors = array.array("i")
    for level, kind, content in items:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            # What was cut off may have left a part of one.
            whole = len(content) - len(content) % _ITEM_BYTES
            descriptors.frombytes(content[:whole])
    return list(descriptors)


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _stream_error(sock: socket.socket, error: OSError) -> Exception:
    """Return what stands for *error*; one about the descriptors stands for itself."""
    if sock.fileno() == -1:
        return trio.ClosedResourceError("this connection was already closed")
    if isinstance(error, ConnectionError) or error.errno == errno.ENOTCONN:
        return connection_lost(error)
    return error
