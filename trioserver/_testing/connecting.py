"""Make clients: real ones or in memory, as the server is."""

from __future__ import annotations

import socket
from typing import Final

import trio

from trioserver._engine.hooks import ClientAddress
from trioserver._servers.tcp import TCPServer
from trioserver._servers.udp import UDPServer
from trioserver._streams.connection import Connection
from trioserver._testing.address_book import reachable
from trioserver._testing.datagram_client import DatagramClient, MemoryPort
from trioserver._testing.datagram_end import DatagramEnd
from trioserver._testing.link import Link
from trioserver._testing.listener_end import ListenerEnd
from trioserver._testing.memory_socket import MemorySocket
from trioserver._testing.options import check_seconds
from trioserver._testing.path import Path
from trioserver._testing.stream_client import StreamClient
from trioserver._testing.stream_end import StreamEnd

_INTERNET: Final = frozenset({socket.AF_INET, socket.AF_INET6})

# Seconds between two tries to get into the full queue of a Unix socket.
_FULL_PAUSE: Final = 0.01


async def connect(
    server: TCPServer, *, patience: float = 5.0, link: Link | None = None
) -> StreamClient:
    """Connect to *server*: over TCP, a Unix socket, or the memory that it is in.

    For ``async with await connect(server) as client:``.

    Args:
        server: A server for streams. It need not serve yet: clients wait in its queue.
        patience: Seconds that this, and each method of the client, may wait.
        link: How the connection behaves, both ways, in a `MemoryNetwork`.

    Raises:
        AssertionError: If the queue of the server is full for too long.
        OSError: If the server does not listen.
        TypeError: If it is no server for streams.
        ValueError: If it is in no `MemoryNetwork`, and there is a *link*.

    Cancellation:
        Nothing is left.
    """
    _check_kind("connect()", server, socket.SOCK_STREAM, "streams")
    check_seconds("patience", patience)
    _check_link(server, link)
    with trio.move_on_after(patience) as waiting:
        if isinstance(server.socket, MemorySocket):
            return await _connect_in_memory(server.socket, patience, link)
        sock = await _connected(server, socket.SOCK_STREAM)
        return StreamClient(trio.SocketStream(sock), patience=patience)
    assert waiting.cancelled_caught  # noqa: S101  # what else
    message = f"could not connect to {server!r} within {patience:g} s"
    raise AssertionError(message)


async def open_datagram_client(
    server: UDPServer, *, patience: float = 5.0, link: Link | None = None
) -> DatagramClient:
    """Return a client for datagrams of *server*, real or in memory, as it is.

    Of a real Unix socket, the client gets an abstract name, to be answered; so on
    Linux only.

    Args:
        server: A server for datagrams.
        patience: Seconds that each method of the client may wait.
        link: How its datagrams travel, both ways, in a `MemoryNetwork`.

    Raises:
        OSError: If nobody is at the path of a Unix socket. Over UDP, nobody can tell
            before something was sent.
        TypeError: If it is no server for datagrams.
        ValueError: If it is in no `MemoryNetwork`, and there is a *link*.

    Cancellation:
        Nothing is left.
    """
    _check_kind("open_datagram_client()", server, socket.SOCK_DGRAM, "datagrams")
    check_seconds("patience", patience)
    _check_link(server, link)
    if isinstance(server.socket, MemorySocket):
        await trio.lowlevel.checkpoint()
        return _open_in_memory(server.socket, patience, link)
    sock = await _connected(server, socket.SOCK_DGRAM)
    return DatagramClient(sock, patience=patience)


def _check_kind(function: str, server: object, kind: int, of_what: str) -> None:
    is_such = getattr(server, "socket_type", None) == kind
    if not is_such or isinstance(server, type):
        message = f"{function} needs a server for {of_what}, not {server!r}"
        raise TypeError(message)


def _check_link(server: TCPServer, link: Link | None) -> None:
    if link is not None and not isinstance(server.socket, MemorySocket):
        message = (
            "a real connection cannot have a link: let a MemoryNetwork adopt the "
            "server first"
        )
        raise ValueError(message)


async def _connected(server: TCPServer, kind: int) -> trio.socket.SocketType:
    """Return a real socket that is connected to *server*."""
    plain = socket.socket(server.address_family, kind)
    try:
        if kind == socket.SOCK_DGRAM and server.address_family not in _INTERNET:
            plain.bind("")  # a name of the system's choice: unix(7), autobind
        if server.address_family in _INTERNET:
            sock = trio.socket.from_stdlib_socket(plain)
            await sock.connect(reachable(server.server_address))
        else:
            await _connect_locally(plain, server.server_address)
            sock = trio.socket.from_stdlib_socket(plain)
    except BaseException:
        plain.close()
        raise
    return sock


async def _connect_locally(sock: socket.socket, address: ClientAddress) -> None:
    """Connect a Unix socket, which cannot wait for a full queue.

    What Trio's sockets take for the beginning of a connection is the refusal of one
    (connect(2), EAGAIN): all that helps is another try.
    """
    sock.setblocking(False)
    while True:
        await trio.lowlevel.checkpoint()
        try:
            sock.connect(address)
        except BlockingIOError:
            await trio.sleep(_FULL_PAUSE)
        else:
            return


async def _connect_in_memory(
    listening: MemorySocket, patience: float, link: Link | None
) -> StreamClient:
    listener = listening.end
    assert isinstance(listener, ListenerEnd)  # noqa: S101  # a server for streams has it
    family = listener.family
    ours = listener.book.next_address(family) if family in _INTERNET else ""
    paths = listener.wires.pair(link)
    addresses = ours, reachable(listener.address)
    client, accepted = StreamEnd.pair(family, addresses, paths)
    sock = MemorySocket(client)
    try:
        await _travel(paths[0], client)
        await listener.admit(accepted)
        await _travel(paths[1], client)
    except BaseException:
        sock.close()
        raise
    return StreamClient(Connection(sock), patience=patience, paths=paths)


async def _travel(path: Path, end: StreamEnd) -> None:
    """Wait as long as the network takes to bring the news of a connection."""
    await trio.sleep(path.link.delay)
    while path.link.is_cut:
        await end.wait_for_change()


def _open_in_memory(
    receiving: MemorySocket, patience: float, link: Link | None
) -> DatagramClient:
    server = receiving.end
    assert isinstance(server, DatagramEnd)  # noqa: S101  # a server for datagrams has it
    client = DatagramEnd(server.family, server.book, server.wires)
    client.paths = server.wires.pair(link)
    client.bind(server.book.next_address(server.family))
    client.peer = reachable(server.address)
    port = MemoryPort(MemorySocket(client))
    return DatagramClient(port, patience=patience, paths=client.paths)
