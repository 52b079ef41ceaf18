"""Let ``server.shutdown()`` of the standard library's end an accept loop of ours."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, final

# The two attributes that shutdown() and serve_forever() of socketserver.BaseServer
# share, the same since Python 3.0. An override of shutdown() gets there by super(),
# which is why nothing else can be replaced.
SHUT_DOWN_EVENT: Final = "_BaseServer__is_shut_down"
SHUT_DOWN_FLAG: Final = "_BaseServer__shutdown_request"


@final
class StopEvent(threading.Event):
    """The event that ``shutdown()`` waits for; to wait for it is to ask for it."""

    def __init__(
        self, request_stop: Callable[[], None], may_wait: Callable[[], bool]
    ) -> None:
        """Ask for the end with *request_stop*, from any thread.

        Args:
            request_stop: Asks the accept loop to end. Does not wait.
            may_wait: Whether the calling thread may wait for the end. The accept loop
                cannot end while it waits for this thread.
        """
        super().__init__()
        self._request_stop = request_stop
        self._may_wait = may_wait

    def wait(self, timeout: float | None = None) -> bool:
        """Ask for the end, and wait for it if this thread may."""
        if not self.is_set():
            self._request_stop()
        return super().wait(timeout if self._may_wait() else 0)


def is_asked_to_stop(server: socketserver.TCPServer) -> bool:
    """Whether somebody has set the flag that ``serve_forever()`` looks at.

    ``shutdown()`` does, and so do handlers that know that it would wait for them.
    """
    return bool(getattr(server, SHUT_DOWN_FLAG))


@contextmanager
def shutdown_ends(server: socketserver.TCPServer, event: StopEvent) -> Generator[None]:
    """Let ``server.shutdown()`` wait for *event* while the block runs.

    The end of the block is to *server* as the end of a ``serve_forever()``.
    """
    theirs: threading.Event = getattr(server, SHUT_DOWN_EVENT)
    # First the event, then a look at the flag, which is_asked_to_stop() takes: a
    # shutdown() in another thread does it in the opposite order.
    setattr(server, SHUT_DOWN_EVENT, event)
    try:
        yield
    finally:
        setattr(server, SHUT_DOWN_FLAG, False)
        setattr(server, SHUT_DOWN_EVENT, theirs)
        theirs.set()
        event.set()
