"""What the proof is made of, and how it counts."""

from __future__ import annotations

import pytest

from kit.points import Points, summary
from proof.matrix import (
    ALL_CASES,
    FAILING_MATRIX,
    FAILING_OMISSIONS,
    MATRIX,
    OMISSIONS,
    Omission,
    is_omitted,
)
from trioserver.testing import Report


@pytest.mark.parametrize(
    "omission", [*OMISSIONS, *FAILING_OMISSIONS], ids=lambda omission: omission.reason
)
def test_what_is_left_out_would_be_there(omission: Omission) -> None:
    cases = [case for case in ALL_CASES if is_omitted(case, omission)]

    assert cases
    for pattern in omission.cases:
        one = Omission((pattern,), omission.reason)
        assert any(is_omitted(case, one) for case in cases), pattern


def test_nothing_else_is_left_out() -> None:
    omitted = [case for case in ALL_CASES if is_omitted(case, *OMISSIONS)]

    assert len(MATRIX) + len(omitted) == len(ALL_CASES)
    assert len(FAILING_MATRIX) < len(MATRIX)
    assert len({str(case) for case in ALL_CASES}) == len(ALL_CASES)


def test_the_summary_adds_up_what_all_tests_have_tried() -> None:
    reports = []
    for subject in ("TCPServer", "UDPServer"):
        report = pytest.TestReport("a test", ("", 0, ""), {}, "passed", None, "call")
        made = Report(
            moments={"cancel": 10, "reset": 3}, tried={"cancel": 2, "reset": 4}
        )
        Points(report.user_properties).note(subject, made)
        report.user_properties.append(("something else", 1))
        reports.append(report)

    assert summary(reports) == [
        "12 of 28 injection points were tried",
        "           cancel  reset  all",
        "TCPServer       2      4    6",
        "UDPServer       2      4    6",
        "all             4      8   12",
    ]


def test_without_points_there_is_no_summary() -> None:
    assert summary([]) == []
