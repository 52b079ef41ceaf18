"""Requests of all kinds, in any order: each runs once, as if in a task of its own."""

from __future__ import annotations

import enum
from contextvars import ContextVar

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.moments import EXAMPLES
from kit.serving import STUCK
from trioserver import BaseServer, StreamRequestHandler
from trioserver._engine.admission import Admission
from trioserver._engine.requests_in_flight import RequestsInFlight

pytestmark = pytest.mark.proof

number: ContextVar[int | None] = ContextVar("number", default=None)


class Kind(enum.Enum):
    """What a request does."""

    QUICK = "nothing"
    YIELDS = "lets others run, twice"
    WAITS = "waits until the next batch has begun"
    FAILS = "raises"
    FAILS_LATE = "raises after a wait"
    LEAVES_A_SCOPE = "leaves a cancel scope open"


class End(enum.Enum):
    """How the requests end."""

    JOIN = "they are waited for"
    CANCEL = "they are cancelled"


@attrs.define
class Play:
    """What the requests have in common, and what has become of them."""

    begun: list[int] = attrs.field(factory=list)
    ended: list[int] = attrs.field(factory=list)
    strangers: list[object] = attrs.field(factory=list)
    scopes: list[trio.CancelScope] = attrs.field(factory=list)
    gate: trio.Event = attrs.field(factory=trio.Event)

    async def run(self, which: int, kind: Kind) -> None:
        self.begun.append(which)
        self.strangers.append(number.get())
        number.set(which)
        gate = self.gate
        try:
            await self._do(kind, gate)
        finally:
            assert number.get() == which
            self.ended.append(which)

    async def _do(self, kind: Kind, gate: trio.Event) -> None:
        if kind is Kind.WAITS:
            await gate.wait()
        if kind in {Kind.YIELDS, Kind.FAILS_LATE}:
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
        if kind in {Kind.FAILS, Kind.FAILS_LATE}:
            raise LookupError(kind)
        if kind is Kind.LEAVES_A_SCOPE:
            self.scopes.append(trio.CancelScope())
            self.scopes[-1].__enter__()

    def open_gate(self) -> None:
        """Let those go on that wait, and strike where a scope was left open."""
        self.gate.set()
        self.gate = trio.Event()
        for scope in self.scopes:
            scope.cancel()


class Playing(BaseServer):
    """Its requests are numbers and kinds."""

    def __init__(self) -> None:
        super().__init__("nowhere", StreamRequestHandler)
        self.play = Play()

    async def process_request(
        self, request: tuple[int, Kind], _client_address: object
    ) -> None:
        await self.play.run(*request)

    async def handle_error(self, _request: object, _client_address: object) -> None:
        """Expect it."""


batches = st.lists(
    st.tuples(st.lists(st.sampled_from(Kind), min_size=1, max_size=6), st.booleans()),
    max_size=8,
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(batches=batches, end=st.sampled_from(End), are_short=st.booleans())
def test_each_request_runs_once_in_its_own_context(
    batches: list[tuple[list[Kind], bool]], end: End, are_short: bool
) -> None:
    trio.run(serve, batches, end, are_short)


async def serve(
    batches: list[tuple[list[Kind], bool]], end: End, are_short: bool
) -> None:
    server = Playing()
    play = server.play
    in_flight = RequestsInFlight(
        server, lambda: None, lambda: None, are_short=are_short
    )
    total = 0
    with trio.fail_after(STUCK):
        async with in_flight.open():
            for kinds, is_patient in batches:
                for kind in kinds:
                    in_flight.start((total, kind), None, Admission(1).slot())
                    total += 1
                if is_patient:
                    await trio.testing.wait_all_tasks_blocked()
                    assert len(play.begun) == total
                play.open_gate()
            if end is End.CANCEL:
                in_flight.cancel()
            await trio.testing.wait_all_tasks_blocked()
            play.open_gate()

    assert sorted(play.begun) == sorted(play.ended) == list(range(total))
    assert set(play.strangers) <= {None}
    assert len(in_flight) == 0
