"""The choke point: every operation on a socket passes here while a block runs.

Looked up on `socket.socket` at each call, a method can be replaced there, for sockets
that exist already, too. Trio has taken its own methods from that class when it was
imported, and so what clients do with Trio's sockets does not pass.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final, Protocol, TypeAlias, final
from weakref import WeakSet

# Any method, whatever it takes.
Operation: TypeAlias = Callable[..., object]  # type: ignore[explicit-any]  # see above

Intercept: TypeAlias = Callable[
    [str, socket.socket | None, Operation, tuple[object, ...]], object
]
"""Is given the operation's name, the socket, what does it, and the arguments."""


class _HasFileno(Protocol):
    def fileno(self) -> int: ...


# The place of the descriptor among the arguments of `socket.socket`.
_FILENO: Final = 3

METHODS: Final = (
    "accept",
    "bind",
    "close",
    "connect",
    "dup",
    "getpeername",
    "getsockname",
    "getsockopt",
    "listen",
    "recv",
    "recv_into",
    "recvfrom",
    "recvmsg",
    "send",
    "sendall",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
)


@contextmanager
def intercepted(intercept: Intercept) -> Generator[None]:
    """Let *intercept* do every operation on a socket, or an epoll, in this block.

    An epoll that is opened in the block, that is; Trio opens its own with a run.
    """
    with ExitStack() as stack:
        for name in METHODS:
            if hasattr(socket.socket, name):  # Windows has fewer
                method = _method(name, getattr(socket.socket, name), intercept)
                stack.enter_context(_replaced(socket.socket, name, method))
        init = _init(socket.socket.__init__, intercept)
        stack.enter_context(_replaced(socket.socket, "__init__", init))
        if hasattr(select, "epoll"):
            epoll = _epoll_factory(select.epoll, intercept)
            stack.enter_context(_replaced(select, "epoll", epoll))
        yield


@contextmanager
def _replaced(owner: object, name: str, value: object) -> Generator[None]:
    """Let *owner* have another attribute, and give back what it had by itself."""
    has_own = name in vars(owner)
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if has_own:
            setattr(owner, name, original)
        else:
            delattr(owner, name)


def _method(name: str, original: Operation, intercept: Intercept) -> Operation:
    def call(sock: socket.socket, *arguments: object) -> object:
        return intercept(name, sock, original, arguments)

    return call


def _init(original: Operation, intercept: Intercept) -> Operation:
    """Return a constructor that is intercepted, unless the socket is there already."""

    def initialize(
        sock: socket.socket, *arguments: object, **keywords: object
    ) -> object:
        construct = partial(original, **keywords)
        # The fourth argument: socket.fromfd() passes it by its place.
        if keywords.get("fileno") is None and len(arguments) <= _FILENO:
            return intercept("__init__", sock, construct, arguments)
        return construct(sock, *arguments)

    return initialize


def _epoll_factory(
    original: type[select.epoll], intercept: Intercept
) -> Callable[[], InterceptedEpoll]:
    def create() -> InterceptedEpoll:
        epoll = intercept("epoll_create", None, original, ())
        assert isinstance(epoll, original)  # noqa: S101  # it is what was called
        return InterceptedEpoll(epoll, intercept)

    return create


@final
class InterceptedEpoll:
    """An epoll, as much of it as Trio and this library use."""

    def __init__(self, epoll: select.epoll, intercept: Intercept) -> None:
        """Take ownership of *epoll*."""
        self._epoll = epoll
        self._intercept = intercept
        self._pid = os.getpid()
        # Trio tries to modify first what may not be registered.
        self._registered: dict[int, int] = {}
        _epolls.add(self)

    def register(self, descriptor: int | _HasFileno, events: int) -> None:
        """Add *descriptor*."""
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        self._intercept("epoll_ctl_add", None, self._epoll.register, (number, events))
        self._registered[number] = events

    def modify(self, descriptor: int, events: int) -> None:
        """Change what is waited for."""
        if descriptor in self._registered:
            arguments = (descriptor, events)
            self._intercept("epoll_ctl_mod", None, self._epoll.modify, arguments)
            self._registered[descriptor] = events
        else:
            self._epoll.modify(descriptor, events)

    def unregister(self, descriptor: int) -> None:
        """Remove *descriptor*."""
        if descriptor in self._registered:
            arguments = (descriptor,)
            self._intercept("epoll_ctl_del", None, self._epoll.unregister, arguments)
            del self._registered[descriptor]
        else:
            self._epoll.unregister(descriptor)

    def tell_again(self, descriptor: int) -> None:
        """Make an edge of what is ready on *descriptor*, if edges are told here.

        Not in a child, whose copy of it stands for the parent's.
        """
        events = self._registered.get(descriptor, 0)
        if events & select.EPOLLET and os.getpid() == self._pid:
            self._epoll.modify(descriptor, events)

    def poll(self, timeout: float, max_events: int) -> list[tuple[int, int]]:
        """Return what is ready."""
        return self._epoll.poll(timeout, max_events)

    def fileno(self) -> int:
        """Return its own descriptor."""
        return self._epoll.fileno()

    def close(self) -> None:
        """Close it."""
        self._registered.clear()
        self._epoll.close()

    def __enter__(self) -> InterceptedEpoll:
        """Return itself."""
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """Close it."""
        self.close()


_epolls: Final[WeakSet[InterceptedEpoll]] = WeakSet()


def tell_again(sock: socket.socket) -> None:
    """Let what is ready on *sock* look as if it had come just now."""
    for epoll in _epolls:
        epoll.tell_again(sock.fileno())
