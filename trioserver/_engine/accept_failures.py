"""What to do when accepting fails: go on, pause, or end; and what to log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, final

import trio

from trioserver._engine.log_interval import LogInterval
from trioserver._exceptions import ListenerBrokenError
from trioserver._log import describe, log
from trioserver._sockets.accept import AcceptFailure, classify

# Seconds to wait after a capacity error: long enough not to spin, short enough
# that nobody notices. Trio's serve_listeners() and Ranch both use 0.1.
CAPACITY_PAUSE: Final = 0.1

# Failures of single connections in a row, with no success between, before there is
# a pause after each: an errno that never goes away must not spin.
MAX_PEER_FAILURES: Final = 100


@final
class AcceptFailures:
    """The failures to accept since the last success."""

    __slots__ = (
        "_address",
        "_began",
        "_capacity",
        "_is_announced",
        "_is_listening",
        "_lines",
        "_peer",
    )

    def __init__(
        self, where: Callable[[], str], is_listening: Callable[[], bool]
    ) -> None:
        """Count failures.

        Args:
            where: The listener's address, for messages.
            is_listening: Whether the listener could still accept. An error that speaks
                of a broken socket may be about the new one, in a ``get_request()``.
        """
        self._address = where
        self._is_listening = is_listening
        self._peer = 0
        self._capacity = 0
        self._began = 0.0
        self._is_announced = False
        self._lines = LogInterval()

    def pause_after(self, error: OSError | trio.BrokenResourceError) -> float:
        """Return the seconds to wait before the next try.

        Raises:
            ListenerBrokenError: If another try would fail as well.
        """
        failure = classify(error) if isinstance(error, OSError) else AcceptFailure.PEER
        if failure is AcceptFailure.LISTENER and not self._is_listening():
            raise self._broken(error) from error
        if failure is AcceptFailure.CAPACITY:
            return self._note_capacity(error)
        return self._note_peer(error)

    def note_success(self) -> None:
        """End the episode, if there is one, and say so if its beginning was said."""
        self._peer = 0
        if self._capacity:
            self._end_episode()

    @property
    def _where(self) -> str:
        return self._address()

    def _end_episode(self) -> None:
        if self._is_announced:
            seconds = trio.current_time() - self._began
            log(
                logging.WARNING,
                f"Accepting requests on {self._where} again, after {seconds:.1f} s "
                f"and {self._capacity} failed tries",
            )
        self._capacity = 0
        self._is_announced = False

    def _note_peer(self, error: BaseException) -> float:
        self._peer += 1
        log(
            logging.DEBUG,
            f"A request to {self._where} was gone before it could be accepted: "
            f"{describe(error)}",
        )
        return CAPACITY_PAUSE if self._peer > MAX_PEER_FAILURES else 0

    def _note_capacity(self, error: BaseException) -> float:
        now = trio.current_time()
        self._capacity += 1
        if self._capacity == 1:
            self._began = now
        # While clients come and go, a shortage can begin and end many times a second.
        if self._lines.note():
            self._is_announced = True
            log(
                logging.ERROR,
                f"Cannot accept requests on {self._where}: {describe(error)}. "
                f"Trying again every {CAPACITY_PAUSE} s; clients wait in the queue",
            )
        return CAPACITY_PAUSE

    def _broken(self, error: BaseException) -> ListenerBrokenError:
        number = error.errno if isinstance(error, OSError) else None
        return ListenerBrokenError(
            number,
            f"the listening socket of {self._where} is broken ({describe(error)}): "
            "was it closed by somebody else, or never activated? server_bind() and "
            "server_activate() make it listen",
        )
