"""Whatever operation on a socket fails, a server keeps all its promises."""

from __future__ import annotations

import pytest

from kit.moments import sample_of
from kit.points import Points
from kit.serving import STUCK
from proof.matrix import FAILING_MATRIX, Case
from trioserver.testing import fail_everywhere


@pytest.mark.proof
@pytest.mark.parametrize("case", FAILING_MATRIX, ids=str)
def test_harms_one_client_at_most(case: Case, points: Points) -> None:
    report = fail_everywhere(
        case.play,
        probe=case.probe,
        operations=case.operations,
        sample=sample_of(case.subject.model.cost),
        hang_seconds=STUCK,
        paths=["."],
    )

    points.note(case.subject.name, report)
    report.check()
