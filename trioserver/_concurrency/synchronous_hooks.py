"""Call hooks where there is no Trio to wait with."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from trioserver._engine.hooks import ClientAddress, Request, Server


def completed(result: object) -> object:
    """Return *result*, or what it gives if it is awaitable and need not wait.

    Raises:
        TypeError: If it has to wait.
    """
    if not inspect.isawaitable(result):
        return result
    steps = iter(result.__await__())
    try:
        next(steps)
    except StopIteration as done:
        return done.value
    message = (
        f"{_name(result)} has to wait for something, and nothing can be awaited in a "
        "child with a synchronous handler: let it do without, or make the handler "
        "asynchronous, as a class of trioserver's or an 'async def'"
    )
    _close(steps)
    raise TypeError(message)


def handle_synchronously(
    server: Server,
    request: Request,
    client_address: ClientAddress,
    note_error: Callable[[Request, Exception], None],
) -> None:
    """Take *request* through its life in the order of socketserver's child process.

    Args:
        server: Its hooks are called.
        request: A socket, or a datagram with one.
        client_address: Where it came from.
        note_error: Told what the handler raises, before ``handle_error()`` is.
    """
    try:
        completed(server.finish_request(request, client_address))
    except Exception as error:
        note_error(request, error)
        completed(server.handle_error(request, client_address))
    finally:
        completed(server.shutdown_request(request))


def _name(result: object) -> str:
    return getattr(result, "__qualname__", type(result).__qualname__)


def _close(steps: object) -> None:
    """Close a coroutine that waits, so that nothing complains of it later."""
    close = getattr(steps, "close", None)
    if close is not None:
        close()
