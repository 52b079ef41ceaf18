"""A server as synchronous handlers in children see it: its hooks wait for nothing.

An override may be a plain function, as in socketserver, or an ``async def`` that never
has to wait: both may call ``super()``, with ``await`` or without.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias, cast

from trioserver._concurrency.thread_hooks import HooksInPlace
from trioserver._engine.hooks import ClientAddress, Request, Server

# A hook of whatever server there is.
_Hook: TypeAlias = Callable[..., Any]  # type: ignore[explicit-any]  # see above

_HOOKS: Final = ("handle_error", "shutdown_request", "close_request")


class Done:
    """What has been done already: to await it waits for nothing."""

    def __await__(self) -> Iterator[None]:
        """Return at once."""
        return iter(())


DONE: Final = Done()


class SynchronousView:
    """The first base of a view: what it calls is complete when the call returns."""

    def __init_subclass__(cls) -> None:
        """Keep it from a server class that notes its subclasses."""

    def finish_request(self, request: Request, client_address: ClientAddress) -> Done:
        """Call the hook, and finish it."""
        return complete(super().finish_request(request, client_address))  # type: ignore[misc]  # of the server class

    def handle_error(self, request: Request, client_address: ClientAddress) -> Done:
        """Call the hook, and finish it."""
        return complete(super().handle_error(request, client_address))  # type: ignore[misc]  # as above

    def shutdown_request(self, request: Request) -> Done:
        """Call the hook, and finish it."""
        return complete(super().shutdown_request(request))  # type: ignore[misc]  # as above

    def close_request(self, request: Request) -> Done:
        """Call the hook, and finish it."""
        return complete(super().close_request(request))  # type: ignore[misc]  # as above

    def shutdown(self) -> Done:
        """Refuse.

        Raises:
            RuntimeError: The accept loop is in another process.
        """
        message = (
            "a child process has only a copy of the server, and cannot shut it down"
        )
        raise RuntimeError(message)

    def server_close(self) -> Done:
        """Do nothing: in a child process, all sockets of the server are closed."""
        return DONE


def view_of(server: object, in_place: HooksInPlace) -> Server:
    """Return *server* with hooks that need no Trio.

    It has the attributes of the server itself: not a copy of them, but the same
    dictionary. `isinstance` and ``super()`` work as on the server.

    Args:
        server: The server.
        in_place: The hooks that do the work, and the class whose hooks they replace.
    """
    class_ = type(server)
    # Directly before the class that they replace them of: all subclasses and mix-ins
    # come first, and their super() finds these.
    hooks = types.new_class(
        in_place.owner.__name__,
        (in_place.hooks, in_place.owner),
        exec_body=lambda body: body.update(
            {name: _at_once(getattr(in_place.hooks, name)) for name in _HOOKS},
            finish_request=_finish_request,
        ),
    )
    view_class = types.new_class(class_.__name__, (SynchronousView, class_, hooks))
    view_class.__module__ = class_.__module__
    view_class.__qualname__ = class_.__qualname__
    view = cast("object", object.__new__(view_class))
    object.__setattr__(view, "__dict__", server.__dict__)
    return view


def complete(result: object) -> Done:
    """Finish *result*, if it is awaitable.

    Raises:
        TypeError: If it has to wait for something.
    """
    if isinstance(result, Done) or not inspect.isawaitable(result):
        return DONE
    steps = result.__await__()
    try:
        next(iter(steps))
    except StopIteration:
        return DONE
    _close(steps)
    name = getattr(result, "__qualname__", type(result).__qualname__)
    message = (
        f"{name} has to wait for something, and a synchronous handler has no Trio that "
        "could wait: let it do without, or make the handler asynchronous"
    )
    raise TypeError(message)


def _finish_request(
    view: Server, request: Request, client_address: ClientAddress
) -> Done:
    """Call the handler, whose constructor does the work."""
    return complete(view.RequestHandlerClass(request, client_address, view))


def _at_once(hook: _Hook) -> _Hook:
    """Return a plain *hook* as one whose result may be awaited, too."""

    def call(self: object, request: Request, *arguments: object) -> Done:
        # A datagram's request is a pair, in the parent, where nothing is to be closed.
        if hook.__name__ != "close_request" or hasattr(request, "close"):
            hook(self, request, *arguments)
        return DONE

    return call


def _close(steps: object) -> None:
    """Close a coroutine that waits, so that nobody complains of it later."""
    close = getattr(steps, "close", None)
    if close is not None:
        close()
