"""Ended at any moment, by whatever can end it, a server keeps all its promises."""

from __future__ import annotations

from functools import partial
from typing import Final

import pytest

from kit.moments import sample_of
from kit.points import Points
from proof.matrix import MATRIX, Case
from proof.stage import Stage
from trioserver import ServerClosedError
from trioserver.testing import Injection, Trial, cancel_everywhere


def _shut_down(_trial: Trial) -> None:
    Stage.current.shutdown()


def _close(_trial: Trial) -> None:
    Stage.current.server_close()


_OF_ALL: Final = ("cancel", "interrupt", "shutdown", "close", "reset")


def injections(case: Case) -> list[Injection | str]:
    """Return what can be done to the server from outside."""
    if not case.subject.is_driven:
        return [*_OF_ALL]
    is_promised = case.subject.model.cells[case.scenario.cell].is_promised
    is_graceful = is_promised and case.subject.is_stream
    return [
        "cancel",
        "interrupt",
        Injection("shutdown", _shut_down, is_graceful=is_graceful),
        # It is called where it cannot wait, and so nobody empties the queue.
        Injection("close", _close, raises=(ServerClosedError,)),
        "reset",
    ]


@pytest.mark.proof
@pytest.mark.parametrize("case", MATRIX, ids=str)
def test_leaves_nothing_behind(case: Case, points: Points) -> None:
    report = cancel_everywhere(
        case.play,
        by=injections(case),
        sample=sample_of(case.subject.model.cost),
        paths=["."],
    )

    points.note(case.subject.name, report)
    report.check()
