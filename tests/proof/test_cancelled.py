"""Ended at any moment, by whatever can end it, a server keeps all its promises."""

from __future__ import annotations

from typing import Final

import attrs
import pytest

from kit.moments import sample_of
from kit.points import Points
from kit.serving import STUCK
from proof.matrix import MATRIX, Case
from proof.stage import Stage
from trioserver._testing.injections import named
from trioserver.testing import Injection, Trial, cancel_everywhere


def _shut_down(_trial: Trial) -> None:
    Stage.current.shutdown()


def _close(_trial: Trial) -> None:
    Stage.current.server_close()


# Nobody empties the listen queue: without an accept loop, there is none to be emptied,
# and an object's own close() is called where it cannot wait.
_ABRUPT: Final = attrs.evolve(named("close")[0], is_graceful=False)


def injections(case: Case) -> list[Injection]:
    """Return what can be done to the server from outside."""
    if case.subject.is_driven:
        is_promised = case.subject.model.cells[case.scenario.cell].is_promised
        is_graceful = is_promised and case.subject.is_stream
        return [
            *named(("cancel", "interrupt", "reset")),
            Injection("shutdown", _shut_down, is_graceful=is_graceful),
            attrs.evolve(_ABRUPT, act=_close, applies=lambda _: True),
        ]
    graceful = named("close") if case.scenario.has_queue else [_ABRUPT]
    return [*named(("cancel", "interrupt", "reset", "shutdown")), *graceful]


@pytest.mark.proof
@pytest.mark.parametrize("case", MATRIX, ids=str)
def test_leaves_nothing_behind(case: Case, points: Points) -> None:
    report = cancel_everywhere(
        case.play,
        by=injections(case),
        sample=sample_of(case.subject.model.cost),
        hang_seconds=STUCK,
        paths=["."],
    )

    points.note(case.subject.name, report)
    report.check()
