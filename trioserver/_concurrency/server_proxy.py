"""`self.server` in a thread: the server, with nothing left to await."""

from __future__ import annotations

import inspect
import types
from collections.abc import Awaitable, Callable
from functools import partial, update_wrapper
from typing import Any, TypeAlias, TypeVar, cast

import trio

from trioserver._concurrency.thread_hooks import THREAD_HOOKS, HooksInPlace
from trioserver._concurrency.thread_run import current_run
from trioserver._engine.hooks import Server
from trioserver._settings import is_setting

ResultT = TypeVar("ResultT")

# A method of whatever server there is.
_Method: TypeAlias = Callable[..., Any]  # type: ignore[explicit-any]  # see above


class TrioThread:
    """The way back into Trio, from any thread."""

    __slots__ = ("token",)

    def __init__(self) -> None:
        self.token: trio.lowlevel.TrioToken | None = None
        """The `trio.run` that serves, once it does."""

    def wait_for(self, function: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Await *function* in Trio's thread, and return what comes of it.

        From the thread that a request was given to, in the request's task, where it is
        cancelled with it; from other threads, in a task of its own.

        Raises:
            trio.RunFinishedError: If Trio does not run any more.
            RuntimeError: In Trio's own thread, which must not wait for itself.
        """
        return trio.from_thread.run(function, trio_token=self._token_from_here())

    def call(self, function: Callable[[], ResultT]) -> ResultT:
        """Call *function* in Trio's thread, and return what comes of it."""
        return trio.from_thread.run_sync(function, trio_token=self._token_from_here())

    def _token_from_here(self) -> trio.lowlevel.TrioToken | None:
        run = current_run()
        return None if run is not None and run.is_here else self.token


class ServerProxy:
    """The server as threads see it.

    An instance of a class that derives from the server's own, with the attributes of
    the server itself: not a copy of them, but the same dictionary. So `isinstance`,
    ``super()``, properties and plain methods work; and where a method is asynchronous,
    there is one that runs it in Trio's thread and waits.
    """

    _proxied: Server
    _trio_thread: TrioThread

    def __init_subclass__(cls) -> None:
        """Keep it from a server class that notes its subclasses."""

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute of the server; one that takes effect at once, in Trio."""
        if is_setting(name):
            self._trio_thread.call(partial(setattr, self._proxied, name, value))
        else:
            super().__setattr__(name, value)

    def __eq__(self, other: object) -> bool:
        """Whether *other* is the same server."""
        return other is self or other is self._proxied

    def __hash__(self) -> int:
        return hash(self._proxied)

    def __exit__(self, *exc_info: object) -> None:
        """Close the socket."""
        self._trio_thread.call(partial(self._proxied.__exit__, *exc_info))


def make_proxy(
    server: object, trio_thread: TrioThread, in_place: HooksInPlace
) -> Server:
    """Return *server* as its requests' threads see it."""
    class_ = type(server)
    # In the order of resolution directly before the class whose hooks they replace: all
    # subclasses and mix-ins come first, and their super() finds these.
    hooks = types.new_class(
        in_place.owner.__name__,
        (in_place.hooks, in_place.owner),
        exec_body=lambda namespace: namespace.update(__slots__=()),
    )
    namespace = {
        "__module__": class_.__module__,
        "__qualname__": class_.__qualname__,
        "__doc__": class_.__doc__,
        "_proxied": server,
        "_trio_thread": trio_thread,
        **_waiting_methods(server, trio_thread),
    }
    proxy_class: type = types.new_class(
        class_.__name__,
        (ServerProxy, class_, hooks),
        exec_body=lambda body: body.update(namespace),
    )
    proxy = cast("object", object.__new__(proxy_class))
    object.__setattr__(proxy, "__dict__", server.__dict__)
    return proxy


def _waiting_methods(server: object, trio_thread: TrioThread) -> dict[str, _Method]:
    """Return a plain method for each asynchronous one of *server*."""
    class_ = type(server)
    functions = {name: _function(class_, name) for name in dir(class_)}
    return {
        name: update_wrapper(_waiting(server, name, trio_thread), function)
        for name, function in functions.items()
        if name not in THREAD_HOOKS and inspect.iscoroutinefunction(function)
    }


def _waiting(server: object, name: str, trio_thread: TrioThread) -> _Method:
    """Return what calls the method *name* of *server* in Trio's thread, and waits."""

    def wait(_: ServerProxy, *arguments: object, **named: object) -> object:
        method = partial(getattr(server, name), *arguments, **named)
        return trio_thread.wait_for(method)

    return wait


def _function(class_: type, name: str) -> _Method:
    """Return what stands behind the attribute *name* of *class_*, undecorated."""
    attribute = inspect.getattr_static(class_, name)
    function: _Method = inspect.unwrap(getattr(attribute, "__func__", attribute))
    return function
