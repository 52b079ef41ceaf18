"""Refuse handlers and servers that could not work, before they serve."""

from __future__ import annotations

import inspect
import socketserver
import types
from typing import Final

from trioserver._handlers.base import BaseRequestHandler
from trioserver._settings import check_settings

_FOREIGN_MIXINS: Final[frozenset[type]] = frozenset(
    getattr(socketserver, name)
    for name in ("ThreadingMixIn", "ForkingMixIn")
    if hasattr(socketserver, name)
)


def check_handler(handler: object) -> None:
    """Refuse what cannot handle requests on an asynchronous server.

    Raises:
        TypeError: If *handler* cannot be called, or handles synchronously.
    """
    if not callable(handler):
        message = (
            f"the request handler must be a class derived from BaseRequestHandler, or "
            f"any callable (request, client_address, server), not {handler!r}"
        )
        raise TypeError(message)
    if not isinstance(handler, type):
        return
    if issubclass(handler, socketserver.BaseRequestHandler):
        message = (
            f"{handler.__name__} is a synchronous handler of socketserver's: derive it "
            f"from trioserver.{_base_name(handler)} and write 'async def handle'"
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


def check_bases(server_class: type) -> None:
    """Refuse a server that has a mix-in of the standard library's left among its bases.

    Raises:
        TypeError: Its threads or processes could run none of our handlers.
    """
    left = [base for base in server_class.__mro__ if base in _FOREIGN_MIXINS]
    if left:
        message = (
            f"{server_class.__name__} derives from socketserver.{left[0].__name__}: "
            "leave it out, every server here handles its requests at once"
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
