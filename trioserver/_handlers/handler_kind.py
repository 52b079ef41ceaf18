"""Tell synchronous request handlers from asynchronous ones."""

from __future__ import annotations

import inspect
import socketserver
from functools import partial


def is_asynchronous(handler: object) -> bool:
    """Whether calling *handler* gives something to await.

    Of a plain function that returns an awaitable nobody can know it.
    """
    while isinstance(handler, partial):
        handler = handler.func
    if isinstance(handler, type):
        return hasattr(handler, "__await__")
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004  # not whether it is callable
    )


def is_foreign_handler(handler: object) -> bool:
    """Whether *handler* is a handler class of socketserver's."""
    return isinstance(handler, type) and issubclass(
        handler, socketserver.BaseRequestHandler
    )
