"""Datagrams on Unix sockets: clients with a name, and clients without."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

import pytest
import trio

from kit.datagrams import UpperDatagramHandler
from kit.serving import serving
from kit.unix_sockets import names_in
from trioserver import BaseRequestHandler, NamelessPeerError, UnixDatagramServer


def open_client(name: str | bytes | None = None) -> trio.socket.SocketType:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if name is not None:
        sock.bind(name)
    return trio.socket.from_stdlib_socket(sock)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.sock"


async def test_a_reply_comes_from_the_path_that_was_asked(path: Path) -> None:
    name = str(path.with_name("client"))
    async with serving(UnixDatagramServer(path, UpperDatagramHandler)):
        with open_client(name) as client:
            await client.sendto(b"hello", str(path))
            reply = await client.recvfrom(100)

    assert reply == (b"HELLO", str(path))
    assert names_in(path.parent) == ["client"]


async def test_a_client_with_an_abstract_name_is_answered(path: Path) -> None:
    name = b"\0trioserver-client-%d" % os.getpid()
    server_name = b"\0trioserver-server-%d" % os.getpid()
    async with serving(UnixDatagramServer(server_name, UpperDatagramHandler)) as server:
        with open_client(name) as client:
            await client.sendto(b"hello", server_name)
            reply = await client.recvfrom(100)

    assert reply == (b"HELLO", server_name)
    assert server.server_address == server_name
    assert names_in(path.parent) == []


class NotingServer(UnixDatagramServer):
    """Lets the test wait for requests, and see what came of them."""

    def __init__(self, path: Path, handler: type[BaseRequestHandler]) -> None:
        self.addresses: list[object] = []
        self.errors: list[BaseException | None] = []
        self.done = trio.Event()
        super().__init__(path, handler)

    async def process_request(self, request: object, client_address: object) -> None:
        self.addresses.append(client_address)
        try:
            await super().process_request(request, client_address)
        except Exception as error:
            self.errors.append(error)
            raise
        finally:
            self.done.set()


class ReplyingHandler(BaseRequestHandler):
    """Answers, whoever it is."""

    async def handle(self) -> None:
        data, sock = self.request
        await sock.sendto(data, self.client_address)


async def test_a_client_without_a_name_cannot_be_answered(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(NotingServer(path, ReplyingHandler)) as server:
        with open_client() as client:
            await client.sendto(b"hello", str(path))
            await server.done.wait()
        with open_client(str(path.with_name("client"))) as client:
            await client.sendto(b"next", str(path))
            assert await client.recv(100) == b"next"

    assert server.addresses == [None, str(path.with_name("client"))]
    (error,) = server.errors
    assert isinstance(error, NamelessPeerError)
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert "this client cannot be answered, it has no address" in record.message


async def test_a_reply_to_nobody_is_dropped(path: Path) -> None:
    async with serving(NotingServer(path, UpperDatagramHandler)) as server:
        with open_client() as client:
            await client.sendto(b"hello", str(path))
            await server.done.wait()

    assert server.addresses == [None]
    assert server.errors == []
    assert server.statistics().handled == 1


async def test_descriptors_that_a_client_sends_are_not_kept(path: Path) -> None:
    """The fixture that looks for leaks would find them."""
    async with serving(NotingServer(path, UpperDatagramHandler)) as server:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.connect(str(path))
            socket.send_fds(client, [b"hello"], [0, 1, 2])
            await server.done.wait()

    assert server.addresses == [None]


async def test_a_datagram_that_is_too_long_is_seen(path: Path) -> None:
    seen: list[bytes] = []

    class Server(UnixDatagramServer):
        max_packet_size = 4

        async def handle_truncated(
            self, request: tuple[bytes, object], client_address: object
        ) -> None:
            seen.append(request[0])
            await self.shutdown()

    server = Server(path, UpperDatagramHandler)
    with open_client() as client:
        await client.sendto(b"too long", str(path))
    async with server:
        await server.serve_forever()

    assert seen == [b"too "]


async def test_a_server_may_take_the_place_of_another_one(path: Path) -> None:
    class Successor(UnixDatagramServer):
        allow_takeover = True

    name = str(path.with_name("client"))
    with UnixDatagramServer(path, UpperDatagramHandler) as predecessor:
        async with serving(Successor(path, UpperDatagramHandler)):
            with predecessor:
                pass
            with open_client(name) as client:
                await client.sendto(b"hello", str(path))
                assert await client.recv(100) == b"HELLO"

    assert names_in(path.parent) == ["client"]
