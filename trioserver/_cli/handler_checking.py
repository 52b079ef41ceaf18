"""What may be served, and why anything else may not."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Final

from trioserver._handlers.base import BaseRequestHandler
from trioserver._handlers.checking import check_handler
from trioserver._handlers.datagram import DatagramRequestHandler
from trioserver._handlers.session import DatagramSessionHandler
from trioserver._handlers.stream import StreamRequestHandler
from trioserver._servers.base import HandlerFactory

_SIGNATURE: Final = "(request, client_address, server)"

# A module that imports them in order to derive from them does not offer them.
_BASES: Final = (
    BaseRequestHandler,
    StreamRequestHandler,
    DatagramRequestHandler,
    DatagramSessionHandler,
)


def checked_handler(name: str, value: object) -> HandlerFactory:
    """Return *value* as a handler.

    A handler is a class derived from `BaseRequestHandler`, a coroutine function, or a
    `functools.partial` of one. A server that is made in Python takes other callables,
    too; named on a command line, they are more likely to be a slip.

    Args:
        name: What the value is called in messages.
        value: Anything.

    Raises:
        TypeError: If it is no handler.
    """
    if not callable(value):
        message = (
            f"{name} is no handler, but a value of type {type(value).__name__}: name a "
            "class derived from trioserver.BaseRequestHandler, or an async function "
            f"{_SIGNATURE}"
        )
        raise TypeError(message)
    inner = innermost(value)
    if isinstance(inner, type):
        _check_class(name, inner)
    elif not inspect.iscoroutinefunction(inner):
        message = (
            f"{name} is no coroutine function: write 'async def', and no 'yield', or "
            "derive a class from trioserver.BaseRequestHandler"
        )
        raise TypeError(message)
    try:
        inspect.signature(value).bind("request", "client_address", "server")
    except (TypeError, ValueError) as error:
        message = f"{name} must take {_SIGNATURE}, and cannot: {error}"
        raise TypeError(message) from error
    return value


def handler_names(namespace: Mapping[str, object]) -> list[str]:
    """Return the public names in *namespace* that stand for handlers, sorted."""
    return sorted(
        name
        for name, value in namespace.items()
        if not name.startswith("_") and _is_handler(value) and not _is_base(value)
    )


def _is_handler(value: object) -> bool:
    try:
        checked_handler("it", value)
    except TypeError:
        return False
    return True


def _is_base(value: object) -> bool:
    return any(value is base for base in _BASES)


def innermost(value: object) -> object:
    """Return what is called in the end, under partials and decorators."""
    while isinstance(value, functools.partial):
        value = value.func
    return inspect.unwrap(value) if inspect.isroutine(value) else value


def _check_class(name: str, handler: type) -> None:
    check_handler(handler)
    if not issubclass(handler, BaseRequestHandler):
        message = (
            f"{name} is a class, but no handler: derive it from "
            "trioserver.StreamRequestHandler, or trioserver.DatagramRequestHandler"
        )
        raise TypeError(message)
