"""The states of a server, and the table of moves between them.

Rule: whatever decides what state a server is in stands in this file, as a row of
the table. Nothing here waits or does I/O.
"""

from __future__ import annotations

import enum
from typing import Final

from trioserver._exceptions import AlreadyServingError, ServerClosedError


class State(enum.Enum):
    """Where a server is in its life."""

    NEW = "new"
    """Made, and never served. Its socket may be listening already."""

    SHUT_DOWN_EARLY = "shut down before serving"
    """As `NEW`, but the next accept loop ends before it accepts."""

    SERVING = "serving"
    """An accept loop runs."""

    STOPPED = "stopped"
    """No accept loop runs; the next one may."""

    CLOSED = "closed"
    """For good."""


class Move(enum.Enum):
    """What is done to a server."""

    SERVE = "serve"
    """An accept loop begins."""

    SHUTDOWN = "shutdown"
    """Somebody asks the accept loop to end."""

    END = "end"
    """The accept loop has ended, for whatever reason."""

    CLOSE = "close"
    """The socket is closed."""


# Like socketserver's flag and event, but without their two surprises: a shutdown()
# after the loop has ended does not end the next one, and one before the first loop
# does not wait for it (bpo-2302; the flag that stays set has no issue of its own).
MOVES: Final[dict[tuple[State, Move], State]] = {
    (State.NEW, Move.SERVE): State.SERVING,
    (State.NEW, Move.SHUTDOWN): State.SHUT_DOWN_EARLY,
    (State.NEW, Move.CLOSE): State.CLOSED,
    (State.SHUT_DOWN_EARLY, Move.SERVE): State.SERVING,
    (State.SHUT_DOWN_EARLY, Move.SHUTDOWN): State.SHUT_DOWN_EARLY,
    (State.SHUT_DOWN_EARLY, Move.CLOSE): State.CLOSED,
    (State.SERVING, Move.SHUTDOWN): State.SERVING,
    (State.SERVING, Move.END): State.STOPPED,
    (State.SERVING, Move.CLOSE): State.CLOSED,
    (State.STOPPED, Move.SERVE): State.SERVING,
    (State.STOPPED, Move.SHUTDOWN): State.STOPPED,
    (State.STOPPED, Move.CLOSE): State.CLOSED,
    (State.CLOSED, Move.SHUTDOWN): State.CLOSED,
    (State.CLOSED, Move.END): State.CLOSED,
    (State.CLOSED, Move.CLOSE): State.CLOSED,
}


def next_state(state: State, move: Move) -> State:
    """Return the state that *move* leads to.

    Raises:
        AlreadyServingError: To serve while serving.
        ServerClosedError: To serve once closed.
    """
    try:
        return MOVES[state, move]
    except KeyError:
        raise _refusal(state) from None


def _refusal(state: State) -> Exception:
    if state is State.CLOSED:
        return ServerClosedError(
            "this server was closed and cannot serve again: make a new one"
        )
    return AlreadyServingError(
        "this server is serving already: await shutdown() first, or make another "
        "server for another address"
    )
