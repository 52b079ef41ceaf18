"""The network in memory and the clients as users write them: never run."""

from __future__ import annotations

import attrs
import trio

import trioserver
from trioserver.testing import (
    DatagramClient,
    Link,
    MemoryNetwork,
    StreamClient,
    connect,
    open_datagram_client,
    running,
)


class Store(trioserver.TCPServer):
    """A server with state of its own."""

    values: dict[bytes, bytes]


async def talk(server: Store, network: MemoryNetwork | None) -> bytes:
    """Talk to a server, wherever it is."""
    async with running(server, network) as running_server:
        values: dict[bytes, bytes] = running_server.values
        async with await connect(server, patience=3, link=Link(delay=1)) as client:
            await client.send(bytearray(b"key\n"))
            await client.send_eof()
            await client.expect_line(values[b"key"])
            await client.expect(b"bye")
            await client.expect_silence(0.5)
            await client.expect_eof()
            await client.expect_reset()
            client.patience = 1
            stream: trio.abc.HalfCloseableStream = client.stream
            await stream.send_all(b"more")
            client.reset()
            parts: list[bytes] = [
                await client.receive(),
                await client.receive_line(),
                await client.receive_exactly(3),
                await client.receive_all(),
            ]
    return b"".join(parts)


async def ask(server: trioserver.UDPServer) -> object:
    """Ask by datagrams."""
    network = MemoryNetwork(Link(loss=0.1, seed=3))
    adopted: trioserver.UDPServer = network.adopt(server)
    network.link = attrs.evolve(network.link, jitter=0.5)
    async with await open_datagram_client(adopted) as client:
        client.uplink = Link(fates=[(), (0, 0.5)])
        client.downlink = Link(is_cut=True)
        await client.send(b"question")
        await client.expect(b"answer")
        await client.expect_silence(1)
        data: bytes = await client.receive()
        return data, client.address


def close(stream: StreamClient, datagrams: DatagramClient) -> None:
    """Close both, without waiting."""
    stream.close()
    datagrams.close()
