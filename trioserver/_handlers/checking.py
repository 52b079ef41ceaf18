"""Refuse handlers and servers that could not work, before they serve."""

from __future__ import annotations

import inspect
import socketserver
import types
from typing import Final

from trioserver._handlers.base import BaseRequestHandler
from trioserver._handlers.handler_kind import is_asynchronous
from trioserver._settings import check_settings

_FOREIGN_MIXINS: Final[frozenset[type]] = frozenset(
    getattr(socketserver, name)
    for name in ("ThreadingMixIn", "ForkingMixIn")
    if hasattr(socketserver, name)
)

# How the names of the mix-ins, and of servers that they are in, begin.
_PREFIXES: Final = ("Threading", "Forking")

# Servers of which there is no threading variant by name.
_WITHOUT_THREADS: Final = frozenset({"object", "BaseServer"})


def check_handler(handler: object, server_class: type | None = None) -> None:
    """Refuse what cannot handle requests on an asynchronous server.

    Args:
        handler: What shall be called for each request.
        server_class: The class of the server, for the message. None: any.

    Raises:
        TypeError: If *handler* cannot be called, or handles synchronously.
    """
    if not callable(handler):
        raise TypeError(_not_callable(handler))
    if not isinstance(handler, type):
        return
    if issubclass(handler, socketserver.BaseRequestHandler):
        message = (
            f"{handler.__name__} is a synchronous handler of socketserver's: serve it "
            f"with trioserver.{_threading_name(server_class)}, or derive it from "
            f"trioserver.{_base_name(handler)} and write 'async def handle'"
        )
        raise TypeError(message)
    if not issubclass(handler, BaseRequestHandler):
        return
    check_settings(handler)
    if inspect.isasyncgenfunction(inspect.unwrap(handler.handle)):
        message = (
            f"{handler.__name__}.handle is an asynchronous generator, which nobody "
            "would iterate over: leave the 'yield' out, and await"
        )
        raise TypeError(message)
    if _is_plain(handler.handle):
        message = (
            f"{handler.__name__}.handle is a plain function, which cannot wait for "
            "anything: write 'async def handle'"
        )
        raise TypeError(message)


def refuse_handlers(handler: object, *unfit: type, what: str) -> None:
    """Refuse a *handler* class that derives from one of those that are *unfit*.

    Raises:
        TypeError: With what it is *what* that it does not fit.
    """
    if isinstance(handler, type) and issubclass(handler, unfit):
        base = next(base for base in unfit if issubclass(handler, base))
        message = (
            f"{handler.__name__} is a {base.__name__}, which cannot handle the "
            f"requests of a {what}"
        )
        raise TypeError(message)


def check_threaded_handler(handler: object, server_class: type) -> None:
    """Refuse what cannot handle requests in threads.

    Args:
        handler: What shall be called for each request.
        server_class: The class of the server.

    Raises:
        TypeError: If *handler* cannot be called, or is asynchronous.
    """
    if not callable(handler):
        raise TypeError(_not_callable(handler))
    if is_asynchronous(handler):
        message = (
            f"{getattr(handler, '__name__', handler)!s} is asynchronous, and "
            f"{server_class.__name__} calls its handlers in threads: serve it with "
            f"trioserver.{_plain_name(server_class)}, or derive it from "
            "socketserver's classes and write 'def handle'"
        )
        raise TypeError(message)


def _not_callable(handler: object) -> str:
    return (
        f"the request handler must be a class derived from BaseRequestHandler, or "
        f"any callable (request, client_address, server), not {handler!r}"
    )


def _plain_name(server_class: type | None) -> str:
    """Return the first of our classes in *server_class* that is no combination."""
    return next(
        base.__name__
        for base in (server_class or object).__mro__
        if base is object or _is_plain_server(base)
    )


def _is_plain_server(base: type) -> bool:
    return base.__module__ == "trioserver" and not base.__name__.startswith(_PREFIXES)


def _threading_name(server_class: type | None) -> str:
    """Return what serves synchronous handlers and is otherwise like *server_class*."""
    plain = _plain_name(server_class)
    return "ThreadingMixIn" if plain in _WITHOUT_THREADS else f"Threading{plain}"


def check_bases(server_class: type) -> None:
    """Refuse a server that has a mix-in of the standard library's left among its bases.

    Raises:
        TypeError: Its threads or processes could run none of our handlers.
    """
    left = [base for base in server_class.__mro__ if base in _FOREIGN_MIXINS]
    if left:
        message = (
            f"{server_class.__name__} derives from socketserver.{left[0].__name__}: "
            f"take trioserver.{left[0].__name__} for synchronous handlers; others need "
            "none, every server here handles its requests at once"
        )
        raise TypeError(message)


def _base_name(handler: type) -> str:
    """Return which class of ours replaces the base of a socketserver *handler*."""
    if issubclass(handler, socketserver.StreamRequestHandler):
        return "StreamRequestHandler"
    return "BaseRequestHandler"


def _is_plain(function: object) -> bool:
    """Whether *function* surely returns nothing to await.

    A decorated one may return the coroutine of what it wraps.
    """
    inner = inspect.unwrap(function) if callable(function) else function
    return isinstance(inner, types.FunctionType) and not (
        inspect.iscoroutinefunction(inner)
    )
