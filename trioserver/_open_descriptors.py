"""The descriptors that the library has open in this process, for children to close.

A forked child inherits them all. If it kept them, clients of others would get no
end-of-file when their requests end, and a port that was closed would go on accepting,
until the child has ended. What the application has opened is none of our business.
"""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Final, Protocol, TypeVar
from weakref import WeakSet


class Inherited(Protocol):
    """Something else that has a descriptor open, and knows what follows."""

    def forget(self) -> None:
        """Close it in a forked child, and leave alone what is the parent's."""


Descriptor = socket.socket | io.FileIO | Inherited

DescriptorT = TypeVar("DescriptorT", bound=Descriptor)

# Of all servers, in all threads. What is closed or forgotten leaves it by itself.
_open: Final[WeakSet[Descriptor]] = WeakSet()


def note_open(descriptor: DescriptorT) -> DescriptorT:
    """Remember that the library owns *descriptor*. Return it.

    One that is no real descriptor, of a network in memory, does no harm.
    """
    _open.add(descriptor)
    return descriptor


def close_inherited(keep: AbstractSet[int]) -> None:
    """Close what the library owns, as a forked child has to do.

    Args:
        keep: The numbers of those that stay open.
    """
    for descriptor in list(_open):
        if isinstance(descriptor, socket.socket | io.FileIO):
            if not _is_closed(descriptor) and descriptor.fileno() not in keep:
                close_quietly(descriptor)
        elif hasattr(descriptor, "forget"):
            descriptor.forget()


def close_quietly(descriptor: socket.socket | io.FileIO) -> None:
    """Close nothing but the descriptor: no shutdown, no error, no file left in use.

    A socket that has files, of ``makefile()``, only pretends to close.
    """
    with suppress(OSError):
        if isinstance(descriptor, socket.socket):
            os.close(descriptor.detach())
        else:
            descriptor.close()


def _is_closed(descriptor: socket.socket | io.FileIO) -> bool:
    if isinstance(descriptor, socket.socket):
        return descriptor.fileno() == -1
    return descriptor.closed
