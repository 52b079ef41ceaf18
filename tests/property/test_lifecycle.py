"""The life cycle as a machine: any order of calls that can happen has a next state."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from kit.moments import EXAMPLES
from trioserver import AlreadyServingError, ServerClosedError
from trioserver._engine.lifecycle import Move, State, next_state


class Life(RuleBasedStateMachine):
    """A server in the hands of somebody who calls anything at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State.NEW
        # What the caller knows, independently of the table.
        self.is_looping = False
        self.is_closed = False
        self.has_served = False
        self.was_shut_down_early = False

    def move(self, move: Move) -> None:
        self.state = next_state(self.state, move)

    @precondition(lambda self: self.is_looping and not self.is_closed)
    @rule()
    def serve_again_meanwhile(self) -> None:
        with pytest.raises(AlreadyServingError, match=r"await shutdown\(\) first"):
            self.move(Move.SERVE)

    @precondition(lambda self: self.is_closed)
    @rule()
    def serve_once_closed(self) -> None:
        with pytest.raises(ServerClosedError, match="make a new one"):
            self.move(Move.SERVE)

    @precondition(lambda self: not self.is_looping and not self.is_closed)
    @rule()
    def serve(self) -> None:
        self.move(Move.SERVE)

        self.is_looping = True
        self.has_served = True

    @rule()
    def shut_down(self) -> None:
        self.move(Move.SHUTDOWN)

        self.was_shut_down_early |= not self.has_served

    @precondition(lambda self: self.is_looping)
    @rule()
    def end(self) -> None:
        self.move(Move.END)

        self.is_looping = False

    @rule()
    def close(self) -> None:
        self.move(Move.CLOSE)

        self.is_closed = True

    @invariant()
    def is_serving_exactly_while_a_loop_runs_on_an_open_server(self) -> None:
        assert (self.state is State.SERVING) == (self.is_looping and not self.is_closed)

    @invariant()
    def is_closed_for_good(self) -> None:
        assert (self.state is State.CLOSED) == self.is_closed

    @invariant()
    def remembers_an_early_shutdown_until_it_serves(self) -> None:
        early = self.was_shut_down_early and not (self.has_served or self.is_closed)
        assert (self.state is State.SHUT_DOWN_EARLY) == early


Life.TestCase.settings = settings(
    deadline=None, max_examples=EXAMPLES // 2, stateful_step_count=20
)
TestLife = pytest.mark.proof(Life.TestCase)
