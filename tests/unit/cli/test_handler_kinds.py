"""Which handlers fit which addresses."""

from __future__ import annotations

import functools

import pytest

from trioserver import (
    BaseRequestHandler,
    DatagramRequestHandler,
    DatagramSessionHandler,
    StreamRequestHandler,
)
from trioserver._cli.bind_address import parse_bind_address
from trioserver._cli.errors import UsageError
from trioserver._cli.handler_kinds import check_kinds, handler_for
from trioserver._cli.upper import UpperDatagramHandler, UpperHandler
from trioserver._servers.base import HandlerFactory

STREAMS = ("tcp://h:1", "unix:/x", "unix:@x")
DATAGRAMS = ("udp://h:1", "unixgram:/x", "unixgram:@x")


async def handle(request: object, client_address: object, server: object) -> None:
    """Handles whatever it is."""


@pytest.mark.parametrize("handler", [BaseRequestHandler, handle])
def test_takes_what_may_be_for_both(handler: HandlerFactory) -> None:
    check_kinds("it", handler, map(parse_bind_address, STREAMS + DATAGRAMS))


@pytest.mark.parametrize(
    ("handler", "addresses"),
    [
        (StreamRequestHandler, STREAMS),
        (UpperHandler, STREAMS),
        (DatagramRequestHandler, DATAGRAMS),
        (functools.partial(UpperDatagramHandler), DATAGRAMS),
        (DatagramSessionHandler, ["udp://h:1"]),
    ],
    ids=["stream", "upper", "datagram", "partial", "session"],
)
def test_takes_what_fits(handler: HandlerFactory, addresses: tuple[str, ...]) -> None:
    check_kinds("it", handler, map(parse_bind_address, addresses))


@pytest.mark.parametrize(
    ("handler", "address", "complaint"),
    [
        (
            UpperHandler,
            "udp://h:1",
            (
                "it is for streams, since it derives from StreamRequestHandler, and "
                "udp://h:1 receives datagrams: derive it from DatagramRequestHandler, "
                "or choose another address"
            ),
        ),
        (
            functools.partial(UpperDatagramHandler),
            "unix:/x",
            (
                "it is for datagrams, since it derives from DatagramRequestHandler, "
                "and unix:/x receives streams: derive it from StreamRequestHandler, or "
                "choose another address"
            ),
        ),
    ],
    ids=["stream", "datagram"],
)
def test_refuses_what_does_not(
    handler: HandlerFactory, address: str, complaint: str
) -> None:
    fitting = STREAMS if "streams," in complaint else DATAGRAMS

    with pytest.raises(UsageError) as caught:
        check_kinds("it", handler, map(parse_bind_address, (*fitting, address)))

    assert str(caught.value) == complaint


@pytest.mark.parametrize("text", ["tcp://h:1", "unixgram:/x"])
def test_refuses_sessions_where_there_are_none(text: str) -> None:
    with pytest.raises(UsageError, match=r"has none: choose udp://HOST:PORT$"):
        check_kinds("it", DatagramSessionHandler, [parse_bind_address(text)])


@pytest.mark.parametrize("text", STREAMS + DATAGRAMS)
def test_has_an_example_for_each_address(text: str) -> None:
    expected = UpperHandler if text in STREAMS else UpperDatagramHandler

    assert handler_for(parse_bind_address(text), None) is expected
    assert handler_for(parse_bind_address(text), handle) is handle
