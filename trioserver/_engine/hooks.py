"""What the engine asks of a server, so that it need not know the server classes."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Generator
from types import CoroutineType
from typing import Any, Protocol, TypeAlias, TypeVar, overload

# A subclass decides what its requests and addresses are: a connection, a pair of a
# datagram and a socket, whatever get_request() returns. typeshed says the same.
Request: TypeAlias = Any  # type: ignore[explicit-any]  # see above
ClientAddress: TypeAlias = Any  # type: ignore[explicit-any]  # see above

# It has whatever attributes its class gave it, and handlers use them freely.
Server: TypeAlias = Any  # type: ignore[explicit-any]  # see above

ResultT = TypeVar("ResultT")
HookT = TypeVar("HookT")

# The hooks of ours that do nothing.
_idle: set[object] = set()


class ServerHooks(Protocol):
    """The methods of a server that a subclass may override, one request each.

    An override may be a plain function, if its result is not awaitable.
    """

    @property
    def cleanup_timeout(self) -> float:
        """Seconds that each step of cleaning up may take in a cancelled task."""
        ...

    async def verify_request(
        self, request: Request, client_address: ClientAddress
    ) -> bool:
        """Return whether the request shall be processed."""
        ...

    async def process_request(
        self, request: Request, client_address: ClientAddress
    ) -> None:
        """Process the request and shut it down."""

    async def handle_error(
        self, request: Request, client_address: ClientAddress
    ) -> None:
        """Report the exception that is being handled."""

    async def shutdown_request(self, request: Request) -> None:
        """Shut the request down, and close it."""


def idle(hook: HookT) -> HookT:
    """Note that *hook*, which there is to be overridden, does nothing."""
    _idle.add(hook)
    return hook


def is_idle(hook: object) -> bool:
    """Whether *hook*, a bound method, is one of ours that do nothing.

    Then it need not be called, which takes some 3 µs. It is asked each time, so that a
    hook can be overridden at any time, in a class or in an object.
    """
    return getattr(hook, "__func__", None) in _idle


@overload
def settled(result: Awaitable[ResultT]) -> Awaitable[ResultT]: ...


@overload
def settled(result: object) -> Awaitable[object]: ...


def settled(result: object) -> Awaitable[object]:
    """Return *result*, to be awaited: an override may be a plain function.

    No coroutine of its own: each one that a request waits in costs 250 bytes, and some
    time whenever it goes on.
    """
    # First what nearly every hook returns, and then what a handler is: isawaitable()
    # asks an abstract base class, and so takes longer than all the rest of this
    # (0.5 µs; ten times a request).
    kind: type[object] = type(result)
    if kind is CoroutineType:
        return result  # type: ignore[return-value]  # a cast would be a call more
    if hasattr(kind, "__await__") or inspect.isawaitable(result):
        return result  # type: ignore[return-value]  # as above
    return _Settled(result)


class _Settled:
    """A result that is there already."""

    __slots__ = ("_result",)

    def __init__(self, result: object) -> None:
        self._result = result

    def __await__(self) -> Generator[None, None, object]:
        """Return the result, without waiting."""
        yield from ()
        return self._result
