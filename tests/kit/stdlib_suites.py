"""Run a test module of Python's own, its servers driven from Trio.

``python stdlib_suites.py test.test_httpservers 1 1`` does what ``python -m unittest
test.test_httpservers`` does, and ``1 4`` runs a quarter of it. But each
``serve_forever()`` and each ``handle_request()`` in it is a `trio.run` of
`serve_socketserver`, in the thread that the module has chosen for it. The last line
says how often.
"""

from __future__ import annotations

import math
import socketserver
import sys
import unittest
from collections.abc import Iterator
from functools import partial
from itertools import count

import trio

from trioserver import serve_socketserver

runs = count()


def serve_forever(self: socketserver.TCPServer, poll_interval: float = 0.5) -> None:
    """Serve until somebody calls ``shutdown()``."""
    next(runs)
    trio.run(
        partial(serve_socketserver, self, poll_interval=poll_interval, close=False)
    )


def handle_request(self: socketserver.TCPServer) -> None:
    """Serve until there is a request, and handle it."""
    next(runs)
    # The original's rule, which is older than the attribute.
    timeouts = (self.socket.gettimeout(), self.timeout)
    max_wait = min([math.inf, *(t for t in timeouts if t is not None)])
    trio.run(_handle_request, self, max_wait)


async def _handle_request(server: socketserver.TCPServer, max_wait: float) -> None:
    verify_request = server.verify_request

    with trio.move_on_after(max_wait) as waiting:

        def verify_and_stop(request: object, client_address: object) -> bool:
            # The time-out bounds the wait, and not the handling.
            trio.from_thread.run_sync(setattr, waiting, "deadline", math.inf)
            server.shutdown()
            return verify_request(request, client_address)  # type: ignore[arg-type]  # whatever has come

        server.verify_request = verify_and_stop  # type: ignore[method-assign]  # of this object only
        try:
            await serve_socketserver(server, close=False)
        finally:
            del server.verify_request
    if waiting.cancelled_caught:
        server.handle_timeout()


def tests_in(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """Yield the tests of *suite*, and of the suites in it."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests_in(test)
        else:
            yield test


def main(module: str, part: int, parts: int) -> None:
    """Run one of *parts* parts of *module*, and exit as unittest does."""
    socketserver.BaseServer.serve_forever = serve_forever  # type: ignore[assignment,method-assign]  # what this is for
    socketserver.BaseServer.handle_request = handle_request  # type: ignore[assignment,method-assign]  # likewise
    suite = unittest.defaultTestLoader.loadTestsFromName(module)
    chosen = list(tests_in(suite))[part - 1 :: parts]
    result = unittest.TextTestRunner(verbosity=2).run(unittest.TestSuite(chosen))
    print(f"runs of Trio: {next(runs)}")  # noqa: T201  # for whoever has started this
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
