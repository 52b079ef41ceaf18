"""One run of a scenario, as the scenario sees it."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Final, Protocol, TypeVar, TypeVarTuple, final

import attrs
import trio
import trio.testing

from trioserver._engine.hooks import settled
from trioserver._exception_groups import leaves, un_nested
from trioserver._servers.base import BaseServer
from trioserver._testing.abandoned import RunGivenUp
from trioserver._testing.await_frames import describe_error
from trioserver._testing.harm import Harm
from trioserver._testing.main_task import LENDER, Job, MainTask
from trioserver._testing.network import Network
from trioserver._testing.options import check_has, check_server
from trioserver._testing.promises import is_loss, is_refusal, promises_replies
from trioserver._testing.watch import watched

# Lets the next close() send a reset.
_ABORT: Final = struct.pack("ii", 1, 0)

# What a server has sent before its end is with the clients at once, on a loopback. Who
# waits longer than this, waits for somebody who was refused.
_IDLE_SECONDS: Final = 0.005
_MOST_SECONDS: Final = 0.05


class Resettable(Protocol):
    """A client that can be told to reset its connection, without waiting."""

    def reset(self) -> object:
        """Reset the connection."""
        ...


ServerT = TypeVar("ServerT", bound=BaseServer)
ClientT = TypeVar("ClientT", bound=Resettable | trio.SocketStream)
PosArgsT = TypeVarTuple("PosArgsT")


def _nothing(*_: object) -> None:
    """Do nothing."""


@final
@attrs.define(eq=False)
class Trial:
    """One run of a scenario, which gets it as its only argument.

    What is served with `serving` or `watching` is what the trouble is made for. If a
    scenario uses neither, all of it is.
    """

    servers: list[BaseServer] = attrs.field(factory=list[BaseServer], init=False)
    """The servers that were served so far."""
    is_injected: bool = attrs.field(default=False, init=False)
    """Whether the trouble has been made already."""
    injected: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when the trouble is made."""
    is_used: bool = attrs.field(default=False, init=False)
    """Whether the scenario has said what is to be watched."""
    harm: Harm = attrs.field(factory=Harm, init=False)
    """What the trouble may do to clients, and has done to servers."""
    problems: list[str] = attrs.field(factory=list[str], init=False)
    """What was found during the run, in words."""
    listen: Callable[[], object] = attrs.field(default=_nothing, init=False)
    """Hears of trouble that was made in a thread or in a child."""
    check_moved: Callable[[BaseServer], object] = attrs.field(
        default=_nothing, init=False
    )
    """Refuses a server that was moved to a network where no trouble can be made."""
    _main: MainTask = attrs.field(factory=MainTask, init=False)
    _clients: list[Resettable | trio.SocketStream] = attrs.field(
        factory=list[Resettable | trio.SocketStream], init=False
    )
    _limiters: list[trio.CapacityLimiter] = attrs.field(
        factory=list[trio.CapacityLimiter], init=False
    )
    _scopes: list[trio.CancelScope] = attrs.field(
        factory=list[trio.CancelScope], init=False
    )
    _is_cancelled: bool = attrs.field(default=False, init=False)
    _is_graceful: bool = attrs.field(default=False, init=False)
    _is_whole: bool = attrs.field(default=False, init=False)
    _reported: set[int] = attrs.field(factory=set[int], init=False)
    _raises: tuple[type[BaseException], ...] = attrs.field(default=(), init=False)

    # For scenarios

    @asynccontextmanager
    async def serving(
        self,
        server: ServerT,
        network: Network | None = None,
        *,
        serve: Job | None = None,
    ) -> AsyncGenerator[ServerT]:
        """Serve while the block runs, then shut down; all of it is watched.

        The block is the clients' side. Once the trouble was made, errors of clients in
        it are forgiven, as `forgives` says, and end the block silently. If the server
        has ended, the block is cancelled: at once if nobody is promised a reply, and
        otherwise when all clients have read what there is.

        Args:
            server: A server that has not served yet.
            network: Where it serves, in place of the real network.
            serve: What is called instead of ``server.serve``.
        """
        check_server("Trial.serving()", server, network)
        if network is not None:
            network.adopt(server)
            self.check_moved(server)
        self.servers.append(server)
        async with self._beside(serve or server.serve, server):
            yield server

    @asynccontextmanager
    async def watching(self, serve: Job) -> AsyncGenerator[None]:
        """Run anything that serves while the block runs, and watch all of it.

        As `serving`, but nothing is stopped in the end: what serves is waited for.

        Args:
            serve: Called with *task_status*; the block runs when it has ``started``.
        """
        async with self._beside(serve, None):
            yield

    async def visit(
        self, client: Callable[[*PosArgsT], Awaitable[object]], *args: *PosArgsT
    ) -> None:
        """Await ``client(*args)``; an error that is forgiven ends just this client.

        For ``nursery.start_soon(trial.visit, client, server)``: without it, the error
        of one client would end the others as well.
        """
        try:
            await client(*args)
        except BaseException as error:
            if not self.forgives(error):
                raise

    def add_client(self, client: ClientT) -> ClientT:
        """Let *client* be reset when it is the clients' turn to make trouble."""
        if not isinstance(client, trio.SocketStream):
            check_has("add_client()", client, "reset")
        self._clients.append(client)
        return client

    def add_limiter(self, limiter: trio.CapacityLimiter) -> None:
        """Insist that all tokens of *limiter* have been given back in the end.

        It is done for each limiter that is an attribute of a server.
        """
        check_has("add_limiter()", limiter, "borrowed_tokens")
        self._limiters.append(limiter)

    def forgives(self, error: BaseException) -> bool:
        """Whether a client may have run into *error*.

        Never before the trouble was made. After a cancellation, a Ctrl-C or a reset, a
        client may lose its connection, or not get what it expects. After ``shutdown()``
        or ``server_close()`` of stream servers, it may only be refused, because each
        request that was accepted is promised its reply; unless a setting of the server
        says something else.
        """
        self.listen()
        if not self.is_injected or self._is_whole:
            return False
        if self._owes_replies():
            return is_refusal(error)
        return is_loss(error) and self.harm.bears(error)

    # For what makes trouble

    @property
    def is_whole(self) -> bool:
        """Whether all of the scenario is watched."""
        return self._is_whole

    def note_injection(
        self, *, is_graceful: bool, raises: tuple[type[BaseException], ...] = ()
    ) -> None:
        """Note that the trouble is made now.

        Args:
            is_graceful: Whether every request that was accepted is still promised its
                reply.
            raises: What the server may raise because of it.
        """
        self.is_injected = True
        self.injected.set()
        self._is_graceful = is_graceful
        self._raises = raises

    def cancel(self) -> None:
        """Cancel everything that is watched, from outside."""
        self._is_cancelled = True
        for scope in self._scopes:
            scope.cancel()

    def reset_clients(self) -> None:
        """Reset the connections of all clients."""
        for client in self._clients:
            if isinstance(client, trio.SocketStream):
                if client.socket.fileno() != -1:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
                    client.socket.close()
            else:
                client.reset()

    @property
    def has_clients(self) -> bool:
        """Whether there is a client to be reset."""
        return bool(self._clients)

    # For what runs it

    async def run(
        self, scenario: Callable[[Trial], Awaitable[object]], *, whole: bool
    ) -> None:
        """Run *scenario*; with *whole*, all of it is watched."""
        self._is_whole = whole
        if whole:
            with self._struck():
                await scenario(self)
        else:
            await self._main.run_beside(partial(scenario, self))

    def judge(self, error: BaseException) -> None:
        """Note what has come out of the run, unless clients may have run into it."""
        for leaf in self._unexpected(error):
            if not self.forgives(leaf):
                self.report_error("the scenario", leaf)

    def judge_server(self, error: BaseException) -> None:
        """Note what has come out of a server: clients are not to blame for that."""
        self.harm.server_errors += map(type, leaves(error))
        for leaf in self._unexpected(error):
            self.report_error("the server", leaf)

    def expects(self, error: type[BaseException]) -> bool:
        """Whether the trouble may have raised an *error*."""
        return error in self._raises

    def _unexpected(self, error: BaseException) -> list[BaseException]:
        """Return what is new in *error*, and does not belong to the trouble itself."""
        expected = (trio.Cancelled, RunGivenUp, *self._raises)
        return [
            leaf
            for leaf in leaves(error)
            if not isinstance(leaf, expected) and id(leaf) not in self._reported
        ]

    def report_error(self, what: str, error: BaseException) -> None:
        """Note that *what* has raised *error*."""
        # By number: to keep an error would keep all that its frames hold.
        self._reported.add(id(error))
        self.problems.append(f"{what} raised {describe_error(error)}")

    def forget(self) -> None:
        """Let go of everything that belongs to the run, but not of what was found."""
        for held in (self.servers, self._clients, self._limiters, self._scopes):
            held.clear()
        self._main, self.injected = MainTask(), trio.Event()

    def check_end(self) -> None:
        """Note what a server, or a limiter, still holds after the run."""
        limiters = {limiter: repr(limiter) for limiter in self._limiters}
        for server in self.servers:
            if server.requests_in_flight:
                self.problems.append(f"requests in flight after the end: {server!r}")
            for name, value in vars(server).items():
                if isinstance(value, trio.CapacityLimiter):
                    limiters[value] = f"{type(server).__name__}.{name}"
        for limiter, name in limiters.items():
            if borrowed := limiter.borrowed_tokens:
                tokens = f"{borrowed} of {limiter.total_tokens}"
                self.problems.append(f"tokens never given back: {tokens} of {name}")

    # Inside

    @asynccontextmanager
    async def _beside(
        self, serve: Job, server: BaseServer | None
    ) -> AsyncGenerator[None]:
        """Run *serve* beside the block, and stop *server* afterwards."""
        self.is_used = True
        block = _Block()
        with un_nested():
            async with trio.open_nursery() as nursery:
                serve = partial(self._serve, serve, block)
                await nursery.start(self._main.run_here, serve, name=LENDER)
                try:
                    with block.scope:
                        yield
                except BaseException as error:
                    if not self.forgives(error):
                        raise
                block.waiting.cancel()
                if server is not None:
                    if not block.scope.cancelled_caught:
                        await self._look_at(server)
                    self.harm.is_stopping = True
                    await settled(server.shutdown())

    async def _look_at(self, server: BaseServer) -> None:
        """Let a fresh client look whether *server* still serves."""
        error = await self.harm.look_at(server)
        if error is not None:
            self.report_error("a fresh client", error)

    async def _serve(
        self,
        serve: Job,
        block: _Block,
        *,
        task_status: trio.TaskStatus[object],
    ) -> None:
        status = _Status(task_status)
        try:
            with self._struck():
                await serve(task_status=status)
        except BaseException as error:
            self.judge_server(error)
            raise
        if self.is_injected:
            if status.is_started and self._owes_replies():
                await block.wait_idle()
            block.scope.cancel()
            status.started()

    @contextmanager
    def _struck(self) -> Generator[None]:
        """Watch this task, and let it be cancelled from outside."""
        with watched(self), trio.CancelScope() as scope:
            self._scopes.append(scope)
            if self._is_cancelled:
                scope.cancel()
            yield

    def _owes_replies(self) -> bool:
        """Whether clients may go on as if nothing had happened, once accepted."""
        return self._is_graceful and all(map(promises_replies, self.servers))


class _Block:
    """The clients' side of a server that may end before them."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.waiting = trio.CancelScope()
        """What waits for the block; cancelled, when that has ended."""

    async def wait_idle(self) -> None:
        """Wait until the clients have read all that is still under way."""
        with self.waiting, trio.move_on_after(_MOST_SECONDS):
            await trio.testing.wait_all_tasks_blocked(_IDLE_SECONDS)


class _Status:
    """A task status that may be told twice that something has started."""

    def __init__(self, status: trio.TaskStatus[object]) -> None:
        self.is_started = False
        self._status = status

    def started(self, value: object = None) -> None:
        """Say that it has started."""
        if not self.is_started:
            self.is_started = True
            self._status.started(value)
