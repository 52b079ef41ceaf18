"""Why a server cannot listen, in words."""

from __future__ import annotations

import errno
import socket
import stat
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from trioserver import (
    DatagramRequestHandler,
    DatagramSessionHandler,
    UDPServer,
    UDPSessionServer,
)
from trioserver._cli import listening
from trioserver._cli.bind_address import BindAddress
from trioserver._cli.errors import StartError
from trioserver._cli.inet_address import InetAddress
from trioserver._cli.listening import bind_all, explain
from trioserver._cli.unix_address import UnixAddress
from trioserver._cli.upper import UpperDatagramHandler, UpperHandler
from trioserver._servers.base import HandlerFactory


@pytest.mark.parametrize(
    ("host", "error", "explanation"),
    [
        (
            "localhost",
            OSError(errno.EADDRINUSE, "cannot bind localhost:80: taken: take another"),
            "cannot bind localhost:80: taken: take another",
        ),
        (
            "localhost",
            OSError(errno.EMFILE, "Too many open files"),
            "cannot listen on tcp://localhost:80: Too many open files",
        ),
        (
            "localhost",
            OSError("out of order"),
            "cannot listen on tcp://localhost:80: out of order",
        ),
        (
            "::1",
            OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol"),
            "cannot listen on tcp://[::1]:80: this machine has no IPv6; use IPv4",
        ),
        (
            "127.0.0.1",
            OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol"),
            (
                "cannot listen on tcp://127.0.0.1:80: Address family not supported by "
                "protocol"
            ),
        ),
        (
            "nowhere",
            socket.gaierror(socket.EAI_NONAME, "cannot find the host of nowhere:80"),
            (
                "cannot find the host of nowhere:80: check the spelling, or use an "
                "address of this machine, as in tcp://127.0.0.1:9999"
            ),
        ),
    ],
)
def test_explains_where_it_cannot_listen_and_why(
    host: str, error: OSError, explanation: str
) -> None:
    assert explain(InetAddress("tcp", host, 80), error) == explanation


def upper(_address: BindAddress) -> type[UpperHandler]:
    return UpperHandler


def test_says_so_where_there_are_no_unix_sockets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "_UNIX_SERVERS", {})

    with ExitStack() as closing, pytest.raises(StartError) as caught:
        bind_all([UnixAddress("unix", "/x")], upper, drain_timeout=1, closing=closing)

    assert str(caught.value) == (
        "cannot listen on unix:/x: this system has no Unix sockets; use tcp:// or "
        "udp://"
    )


@pytest.mark.parametrize(
    ("handler", "server_class"),
    [
        (DatagramRequestHandler, UDPServer),
        (DatagramSessionHandler, UDPSessionServer),
        (partial(DatagramSessionHandler), UDPSessionServer),
        (upper, UDPServer),
    ],
    ids=["datagrams", "sessions", "partial", "function"],
)
def test_serves_sessions_to_a_handler_of_sessions(
    handler: HandlerFactory, server_class: type[UDPServer]
) -> None:
    address = InetAddress("udp", "::1", 0)
    with ExitStack() as closing:
        (bound,) = bind_all(
            [address], lambda _: handler, drain_timeout=1, closing=closing
        )

    assert type(bound.server).__bases__ == (server_class,)


@pytest.mark.parametrize(
    ("scheme", "handler"),
    [("unix", UpperHandler), ("unixgram", UpperDatagramHandler)],
)
@pytest.mark.parametrize("mode", [None, 0o660])
def test_gives_a_socket_the_mode_that_its_address_asks_for(
    scheme: str, handler: HandlerFactory, mode: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "x.sock"
    address = UnixAddress(scheme, str(path), mode)
    with ExitStack() as closing:
        bind_all([address], lambda _: handler, drain_timeout=1, closing=closing)

        assert stat.S_IMODE(path.stat().st_mode) == (mode or 0o600)
