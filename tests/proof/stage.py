"""A server of the proof while it serves, and what clients do with it."""

from __future__ import annotations

import math
import socket
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial
from typing import ClassVar, Final, Protocol, TypeAlias

import attrs
import trio

from kit.serving import STUCK
from proof.gate import Gate
from proof.handlers import GO, AnyServer
from proof.servers import Settings, Subject
from trioserver import serve_socketserver
from trioserver.testing import (
    DatagramClient,
    StreamClient,
    Trial,
    connect,
    open_datagram_client,
)

Client: TypeAlias = StreamClient | DatagramClient

# Seconds after which a datagram, or its reply, is taken for lost, as some are where a
# fault was injected: at first, and then twice as long each time.
LOST: Final = 0.05

# Seconds after which a client gives up that is to be answered, and one that need not
# be. All are for requests that cost nothing: a child takes its time to start.
PATIENCE: Final = 1.0
IMPATIENCE: Final = 0.25

# What serve_socketserver() takes; the other settings are attributes of the object.
_ARGUMENTS: Final = frozenset({"max_concurrent_requests", "drain_timeout", "close"})


class Style(Protocol):
    """A way to let a server serve."""

    def __call__(
        self, server: AnyServer, *, task_status: trio.TaskStatus[object]
    ) -> Awaitable[object]:
        """Serve, and say when it does."""
        ...


async def in_one_shot(
    server: AnyServer, *, task_status: trio.TaskStatus[object]
) -> None:
    """Serve, and close, as most programs do."""
    await server.serve(task_status=task_status)


@attrs.define(eq=False)
class Stage:
    """One run of one scenario, with one of the servers."""

    current: ClassVar[AnyServer] = None
    """The object of socketserver's that is being driven, for who stops it."""

    trial: Trial
    subject: Subject
    gate: Gate = attrs.field(init=False)

    @asynccontextmanager
    async def serving(
        self,
        behaviour: str = "upper",
        settings: Settings | None = None,
        style: Style = in_one_shot,
    ) -> AsyncGenerator[AnyServer]:
        """Serve while the block runs, under watch."""
        given = dict(settings or {})
        is_driven = self.subject.is_driven
        arguments = {name: given.pop(name) for name in _ARGUMENTS & {*given}}
        if not is_driven:
            given |= arguments
        server = self.subject.make(behaviour, given)
        with Gate() as self.gate:
            server.gate = self.gate
            if is_driven:
                async with self._driving(server, arguments):
                    yield server
            else:
                serve = partial(style, server)
                async with self.trial.serving(server, serve=serve):
                    yield server

    @asynccontextmanager
    async def _driving(
        self, server: AnyServer, arguments: Mapping[str, object]
    ) -> AsyncGenerator[None]:
        # Whatever there is among the arguments, it is of the right type.
        serve: AnyServer = partial(serve_socketserver, server, poll_interval=0.001)
        serve.keywords.update(arguments)
        before = _state_of(server)
        Stage.current = server
        with nullcontext() if arguments.get("close", True) else server:
            async with self.trial.watching(serve):
                try:
                    yield
                finally:
                    server.shutdown()
            assert _state_of(server) == before

    async def shut_down(self, server: AnyServer) -> None:
        """Ask the server to end."""
        if self.subject.is_driven:
            server.shutdown()
        else:
            await server.shutdown()

    # Clients

    @asynccontextmanager
    async def connected(self, server: AnyServer) -> AsyncGenerator[StreamClient]:
        """Be a client of a stream server, which the outside may reset."""
        async with await connect(server, patience=STUCK) as client:
            vanishing = _Vanishing(client, self.subject)
            self.trial.add_client(vanishing)
            try:
                yield client
            finally:
                vanishing.say_goodbye()

    @asynccontextmanager
    async def open(self, server: AnyServer) -> AsyncGenerator[Client]:
        """Be a client of whatever server it is."""
        if self.subject.is_stream:
            async with self.connected(server) as stream_client:
                yield stream_client
        else:
            patience = PATIENCE * self._slowness
            async with await open_datagram_client(server, patience=patience) as client:
                yield client

    @property
    def _slowness(self) -> int:
        """How many times as long as a task a request may take before it is lost."""
        return min(self.subject.model.cost, 3)

    async def ask(self, server: AnyServer, *lines: bytes) -> None:
        """Be a client that asks for one thing after the other."""
        async with self.open(server) as client:
            for line in lines:
                await self.talk(client, line)

    async def talk(self, client: Client, *lines: bytes) -> None:
        """Send *lines*, and insist on the replies to all of them."""
        if isinstance(client, StreamClient):
            await client.send(b"".join(lines))
            await client.expect(b"".join(lines).upper())
        else:
            await self._exchange(client, set(lines))

    async def _exchange(self, client: DatagramClient, missing: set[bytes]) -> None:
        """Ask until all replies have come, as clients must whose datagrams are lost.

        What it has got a reply to before, it may get another one to.
        """
        lost = LOST * self._slowness
        with trio.fail_after(STUCK / 2) as waiting:
            while missing:
                if self.trial.is_injected:  # then perhaps there will be no reply
                    give_up = trio.current_time() + self._patience()
                    waiting.deadline = min(waiting.deadline, give_up)
                for line in sorted(missing):
                    await client.send(line)
                with trio.move_on_after(lost):
                    while missing:
                        missing.discard((await client.receive()).lower())
                lost *= 2

    def _patience(self) -> float:
        """How long a client of datagrams waits after the trouble before it gives up."""
        all_may_be_harmed = self.trial.harm.max_harmed == math.inf
        return (IMPATIENCE if all_may_be_harmed else PATIENCE) * self._slowness

    async def release(self, client: Client) -> None:
        """Let the request go on that was told to hold."""
        if isinstance(client, StreamClient):
            await client.send(GO)
        else:
            self.gate.open()


def _state_of(server: AnyServer) -> dict[str, object]:
    """Return what *server* has, without the flag that a late ``shutdown()`` sets."""
    flag = "_BaseServer__shutdown_request"
    return {name: value for name, value in vars(server).items() if name != flag}


@attrs.frozen
class _Vanishing:
    """A client that goes without a word, however it can."""

    client: StreamClient
    subject: Subject

    def reset(self) -> None:
        """Reset the connection, or close it."""
        if self.client.stream.socket.fileno() == -1:
            return
        self.say_goodbye()
        if self.subject.can_be_reset:
            self.client.reset()
        else:
            self.client.close()

    def say_goodbye(self) -> None:
        """Let a close be one although children of this process have the socket, too.

        The server's children are; those of others are not.
        """
        if self.subject.is_forking and self.client.stream.socket.fileno() != -1:
            with suppress(OSError):  # the server may have closed the connection
                self.client.stream.socket.shutdown(socket.SHUT_RDWR)
