"""`BaseRequestHandler`: setup, handle, finish."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Any

from trioserver._cancellation import CLEANUP_TIMEOUT, cleanup_scope
from trioserver._engine.hooks import (
    ClientAddress,
    Request,
    Server,
    idle,
    is_idle,
    settled,
)


class BaseRequestHandler:
    """One request, from its beginning to its end.

    Like socketserver's, but `setup`, `handle` and `finish` are asynchronous, and the
    constructor only stores its arguments: awaiting the object does the work.

    Methods that may be overridden:

    - `setup`
    - `handle`
    - `finish`
    """

    request: Request
    """The request, which for a TCP server is a `Connection`."""

    client_address: ClientAddress
    """Where the request came from, as ``get_request()`` said."""

    _has_succeeded: bool = False
    # Whether `handle` has returned.

    server: Server
    """The server that the request came to."""

    def __init__(
        self, request: Request, client_address: ClientAddress, server: Server
    ) -> None:
        self.request = request
        self.client_address = client_address
        self.server = server

    def __await__(self) -> Generator[Any, Any, None]:  # type: ignore[explicit-any]  # as typing.Coroutine has it
        """Run `setup`, `handle` and `finish`."""
        return self._run().__await__()

    async def _run(self) -> None:
        if not is_idle(self.setup):
            await settled(self.setup())
        try:
            await settled(self.handle())
        except GeneratorExit:
            # Python throws this coroutine away, after an interrupt that struck in what
            # awaited it, and closes it: nothing can be awaited any more.
            raise
        except BaseException as error:
            await self._finish_after(error)
            raise
        self._has_succeeded = True
        await self._finish()

    async def _finish(self) -> None:
        if is_idle(self.finish):
            return
        with cleanup_scope(self._cleanup_timeout):
            await settled(self.finish())

    async def _finish_after(self, error: BaseException) -> None:
        """Finish after *error*, which may not be lost if it is no `Exception`.

        Like socketserver's, where what `finish` raises hides even a ``SystemExit``.
        """
        try:
            await self._finish()
        except Exception as failure:
            if isinstance(error, Exception):
                raise
            message = "finish() failed after this"
            raise BaseExceptionGroup(message, [error, failure]) from None

    @property
    def _cleanup_timeout(self) -> float:
        timeout: float = getattr(self.server, "cleanup_timeout", CLEANUP_TIMEOUT)
        return timeout

    @idle
    async def setup(self) -> None:
        """Prepare for `handle`. If it raises, `finish` is not called."""

    async def handle(self) -> None:
        """Do all the work that the request asks for."""

    @idle
    async def finish(self) -> None:
        """Clean up after `handle`, whether it returned or raised.

        Cancellation:
            In a request that was cancelled before, it may take
            ``server.cleanup_timeout`` seconds. A cancellation that comes while it runs
            is delivered as everywhere; what ``wfile`` holds is sent all the same.
        """


def handled(handler: object) -> Awaitable[object]:
    """Return what is awaited to let *handler* do its work, whatever kind it is.

    For nearly all of them, that is the coroutine itself. What ``__await__`` returns is
    an object around it, through which each step of the request would have to go.
    """
    if isinstance(handler, BaseRequestHandler) and (
        type(handler).__await__ is BaseRequestHandler.__await__
    ):
        return handler._run()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # ours
    return settled(handler)
