"""Which handlers fit which addresses: streams have one kind, datagrams another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from trioserver._cli.bind_address import BindAddress
from trioserver._cli.errors import UsageError
from trioserver._cli.handler_checking import innermost
from trioserver._cli.upper import UpperDatagramHandler, UpperHandler
from trioserver._handlers.base import BaseRequestHandler
from trioserver._handlers.datagram import DatagramRequestHandler
from trioserver._handlers.session import DatagramSessionHandler
from trioserver._handlers.stream import StreamRequestHandler
from trioserver._servers.base import HandlerFactory


@attrs.frozen
class _Kind:
    """What requests are, and what handles them."""

    requests: str
    base: type[BaseRequestHandler]
    example: type[BaseRequestHandler]


_STREAM: Final = _Kind("streams", StreamRequestHandler, UpperHandler)
_DATAGRAM: Final = _Kind("datagrams", DatagramRequestHandler, UpperDatagramHandler)

_KINDS: Final = {
    "tcp": _STREAM,
    "udp": _DATAGRAM,
    "unix": _STREAM,
    "unixgram": _DATAGRAM,
}


def handler_for(address: BindAddress, handler: HandlerFactory | None) -> HandlerFactory:
    """Return *handler*, or the example for *address* if there is none."""
    return handler or _KINDS[address.scheme].example


def is_for_sessions(handler: HandlerFactory) -> bool:
    """Whether *handler* wants all datagrams of one peer."""
    handler_class = innermost(handler)
    return isinstance(handler_class, type) and (
        issubclass(handler_class, DatagramSessionHandler)
    )


def check_kinds(
    name: str, handler: HandlerFactory, addresses: Iterable[BindAddress]
) -> None:
    """Refuse *handler* if the requests of one of *addresses* are of another kind.

    Those that derive from `BaseRequestHandler` alone, and functions, may know what to
    do with both.

    Raises:
        UsageError: With the address, and what would fit.
    """
    handler_class = innermost(handler)
    if not isinstance(handler_class, type):
        return
    for address in addresses:
        if is_for_sessions(handler) and address.scheme != "udp":
            message = (
                f"{name} is for sessions, since it derives from "
                f"{DatagramSessionHandler.__name__}, and {address} has none: choose "
                "udp://HOST:PORT"
            )
            raise UsageError(message)
        kind = _KINDS[address.scheme]
        for other in (_STREAM, _DATAGRAM):
            if other is not kind and issubclass(handler_class, other.base):
                message = (
                    f"{name} is for {other.requests}, since it derives from "
                    f"{other.base.__name__}, and {address} receives {kind.requests}: "
                    f"derive it from {kind.base.__name__}, or choose another address"
                )
                raise UsageError(message)
