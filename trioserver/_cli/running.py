"""Run servers until a signal stops them, or one of them dies.

Two nurseries are opened here. The inner one holds the servers, each in a task; the
outer one also the task that waits for signals, which ends with the last server.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, final

import trio

from trioserver._cli.announcement import stopping_line
from trioserver._cli.console import say
from trioserver._cli.errors import SIGNAL_EXIT_CODE, ExitCode, ServerDiedError
from trioserver._cli.listening import BoundServer
from trioserver._exception_groups import leaves
from trioserver._log import describe

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


async def run_servers(
    servers: Sequence[BoundServer], announce: Callable[[], None]
) -> int:
    """Run *servers*, and return the exit code once all of them have ended.

    Args:
        servers: At least one; listening already.
        announce: Called once signals are heeded.

    Raises:
        ServerDiedError: If one of them has died; the others are cancelled then.
    """
    return await _Run(servers).run(announce)


@final
class _Run:
    """Servers that run together, and how they come to their end."""

    __slots__ = ("_deaths", "_exit_code", "_scope", "_servers")

    def __init__(self, servers: Sequence[BoundServer]) -> None:
        self._servers = servers
        self._scope = trio.CancelScope()
        self._exit_code: int = ExitCode.CLEAN
        self._deaths: list[ServerDiedError] = []

    async def run(self, announce: Callable[[], None]) -> int:
        with trio.open_signal_receiver(*STOP_SIGNALS) as signals, self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._obey, signals)
                async with trio.open_nursery() as serving:
                    for bound in self._servers:
                        serving.start_soon(self._serve, bound)
                    announce()
                nursery.cancel_scope.cancel()
        if self._deaths:
            raise self._deaths[0]
        return self._exit_code

    async def _obey(self, signals: AsyncIterator[int]) -> None:
        """Stop gracefully at the first signal, and at once at the second."""
        await self._shut_down(await anext(signals))
        self._exit_code = SIGNAL_EXIT_CODE + await anext(signals)
        self._scope.cancel()

    async def _shut_down(self, signal_number: int) -> None:
        servers = [bound.server for bound in self._servers]
        requests = sum(server.requests_in_flight for server in servers)
        say(stopping_line(signal_number, requests, servers[0].drain_timeout))
        for server in servers:
            await server.shutdown()

    async def _serve(self, bound: BoundServer) -> None:
        """Serve, and remember why if it ends in any other way than it should."""
        try:
            await bound.server.serve()
        except BaseException as error:
            deaths = [
                _death_of(bound, leaf)
                for leaf in leaves(error)
                if not isinstance(leaf, trio.Cancelled)
            ]
            if not deaths:
                raise
            self._deaths += deaths
            self._scope.cancel()


def _death_of(bound: BoundServer, cause: BaseException) -> ServerDiedError:
    death = ServerDiedError(
        f"the server on {bound.bind_address} has died: {describe(cause)}; "
        "--log-level debug shows the traceback"
    )
    death.__cause__ = cause
    return death
