"""Ended at any moment, serving with an object for TLS leaves nothing behind.

All other objects are a part of the proof, whose clients know no TLS.
"""

from __future__ import annotations

import socketserver
import ssl
from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import pytest
import trio
import trustme

from kit.moments import SAMPLE
from kit.serving import LOOPBACK
from kit.threads import UpperThreadHandler
from trioserver import ServerClosedError, serve_socketserver
from trioserver.testing import Injection, Kind, Trial, cancel_everywhere


class TLSServer(socketserver.ThreadingTCPServer):
    """Has a listener that is wrapped for TLS."""

    # The one that is being served, for those who stop it from outside.
    current: ClassVar[socketserver.TCPServer]

    context: ClassVar[ssl.SSLContext]

    def server_activate(self) -> None:
        super().server_activate()
        self.socket = self.context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: object, client_address: object) -> None:
        """Do nothing: errors shall not fill the report."""


@pytest.fixture(scope="module", autouse=True)
def certificate() -> Iterator[ssl.SSLContext]:
    authority = trustme.CA()
    TLSServer.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(TLSServer.context)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    yield context
    del TLSServer.context


def shut_down(_trial: Trial) -> None:
    """Call the object's ``shutdown()`` where it cannot wait."""
    TLSServer.current.shutdown()


def close(_trial: Trial) -> None:
    """Call the object's ``server_close()`` where it cannot wait."""
    TLSServer.current.server_close()


INJECTIONS: dict[str, Kind | Injection] = {
    "cancel": "cancel",
    "interrupt": "interrupt",
    "shut_down": Injection("shut_down", shut_down),
    "close": Injection("close", close, raises=(ServerClosedError,)),
}


async def ask(server: socketserver.TCPServer, context: ssl.SSLContext) -> None:
    """Ask once, and say good-bye."""
    host, port = server.socket.getsockname()
    plain = await trio.open_tcp_stream(host, port)
    async with trio.SSLStream(plain, context, server_hostname=host) as client:
        await client.send_all(b"hello\n")
        assert await client.receive_some() == b"HELLO\n"


async def send_nonsense(server: socketserver.TCPServer) -> None:
    """Do not even know what TLS is."""
    async with await trio.open_tcp_stream(*server.socket.getsockname()) as client:
        await client.send_all(b"hello\n")


async def play(context: ssl.SSLContext, trial: Trial) -> None:
    """Serve, be visited, shut down; whatever happens meanwhile."""
    with TLSServer(LOOPBACK, UpperThreadHandler) as server:
        TLSServer.current = server
        serve = partial(serve_socketserver, server, drain_timeout=0.01)
        async with trial.watching(serve):
            async with trio.open_nursery() as clients:
                clients.start_soon(trial.visit, ask, server, context)
                clients.start_soon(trial.visit, send_nonsense, server)
            server.shutdown()


@pytest.mark.proof
@pytest.mark.slow
@pytest.mark.parametrize("by", INJECTIONS)
def test_leaves_nothing_behind(by: str, certificate: ssl.SSLContext) -> None:
    found = cancel_everywhere(
        partial(play, certificate), by=INJECTIONS[by], sample=SAMPLE
    )

    found.check()
    assert found.moments[by] > 10
