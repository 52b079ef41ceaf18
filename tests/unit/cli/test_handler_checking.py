"""What may be served, and why anything else may not."""

from __future__ import annotations

import functools
import socketserver

import pytest

from kit.serving import UpperHandler
from trioserver import (
    BaseRequestHandler,
    DatagramRequestHandler,
    StreamRequestHandler,
)
from trioserver._cli.handler_checking import checked_handler, handler_names


async def handle(request: object, client_address: object, server: object) -> None:
    """Handles a request."""


async def handle_with(
    greeting: str, request: object, client_address: object, server: object
) -> None:
    """Handles a request, once it has been given a greeting."""


@functools.wraps(handle)
def decorated(request: object, client_address: object, server: object) -> None:
    """Stands for a decorator's wrapper, which returns a coroutine."""


class Application:
    async def handle(
        self, request: object, client_address: object, server: object
    ) -> None:
        """Handles a request."""


class HandlerWithOption(UpperHandler):
    def __init__(
        self, request: object, client_address: object, server: object, *, option: int
    ) -> None:
        """Needs more than a server gives."""


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(BaseRequestHandler, id="base class"),
        pytest.param(UpperHandler, id="class"),
        pytest.param(
            functools.partial(HandlerWithOption, option=1), id="class partial"
        ),
        pytest.param(handle, id="function"),
        pytest.param(decorated, id="decorated function"),
        pytest.param(Application().handle, id="method"),
        pytest.param(functools.partial(handle_with, "hello"), id="partial"),
    ],
)
def test_takes_a_handler(value: object) -> None:
    assert checked_handler("it", value) is value


async def handle_two(request: object, client_address: object) -> None:
    """Takes too little."""


def handle_plainly(request: object, client_address: object, server: object) -> None:
    """Cannot wait."""


class PlainHandler(BaseRequestHandler):
    def handle(self) -> None:  # type: ignore[override]  # the mistake in question
        """Cannot wait."""


class OldHandler(socketserver.StreamRequestHandler):
    """One of the standard library's."""


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (5, "it is no handler, but a value of type int"),
        (None, "it is no handler, but a value of type NoneType"),
        (dict, "it is a class, but no handler: derive it from"),
        (handle_plainly, "it is no coroutine function: write 'async def'"),
        (functools.partial(handle_plainly), "it is no coroutine function"),
        (OldHandler, "OldHandler is a synchronous handler of socketserver's"),
        (PlainHandler, "write 'async def handle'"),
        (handle_two, "it must take (request, client_address, server)"),
        (HandlerWithOption, "it must take (request, client_address, server)"),
        (functools.partial(handle_two, 1, 2), "it must take (request, client_address"),
    ],
)
def test_refuses_what_is_no_handler(value: object, complaint: str) -> None:
    with pytest.raises(TypeError) as caught:
        checked_handler("it", value)

    assert complaint in str(caught.value)


def test_finds_the_handlers_that_a_module_offers() -> None:
    namespace = {
        "UpperHandler": UpperHandler,
        "handle": handle,
        "_private": handle,
        "BaseRequestHandler": BaseRequestHandler,
        "StreamRequestHandler": StreamRequestHandler,
        "DatagramRequestHandler": DatagramRequestHandler,
        "main": handle_two,
        "OldHandler": OldHandler,
        "PORT": 9999,
    }

    assert handler_names(namespace) == ["UpperHandler", "handle"]
