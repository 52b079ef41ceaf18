"""When a promise counts as kept, and how it is said."""

from __future__ import annotations

import json

import pytest

from soak.verdicts import Figure, Outcome, Report, exactly


@pytest.mark.parametrize(
    ("figure", "is_kept"),
    [
        (Figure("x", 5), True),
        (Figure("x", 5, most=5), True),
        (Figure("x", 6, most=5), False),
        (Figure("x", 5, least=5), True),
        (Figure("x", 4, least=5), False),
        (exactly("x", 5, 5), True),
        (exactly("x", 5, 4), False),
    ],
)
def test_a_figure_is_kept_within_its_bounds(figure: Figure, is_kept: bool) -> None:
    assert figure.is_kept == is_kept


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Figure("replies", 12345), "replies 12 345"),
        (Figure("memory", 1.25, "MiB", digits=1), "memory 1.2 MiB"),
        (Figure("lines", 3, most=5), "lines 3 (at most 5)"),
        (Figure("lines", 3, most=5, least=1), "lines 3 (at most 5, at least 1)"),
        (exactly("lost", 0, 0), "lost 0 (must be 0)"),
        (exactly("lost", 7, 0), "lost 7 (must be 0) BROKEN"),
    ],
)
def test_a_figure_is_said_with_its_bounds(figure: Figure, text: str) -> None:
    assert figure.to_text() == text


GOOD = Outcome("good", "3 clients", [exactly("lost", 0, 0)], seconds=2.4)
BAD = Outcome("bad", "nothing", [exactly("lost", 1, 0), Figure("x", 1)], notes=["why"])


def test_an_outcome_is_one_line() -> None:
    assert GOOD.to_text() == "good: 3 clients in 2 s; lost 0 (must be 0) ... ok"
    assert BAD.to_text().endswith("lost 1 (must be 0) BROKEN; x 1 ... BROKEN")


def test_a_report_is_kept_if_all_of_it_is() -> None:
    assert Report({}, [GOOD]).is_kept
    assert not Report({}, [GOOD, BAD]).is_kept


def test_the_table_has_a_line_for_each_check() -> None:
    assert Report({}, [GOOD, BAD]).to_table().splitlines() == [
        "check  seconds  figures  broken",
        "good         2        1       0  ok",
        "bad          0        2       1  BROKEN",
    ]


def test_programs_get_all_of_it() -> None:
    found = json.loads(Report({"python": "3.13"}, [BAD]).to_json())

    assert found["about"] == {"python": "3.13"}
    (outcome,) = found["outcomes"]
    assert outcome["is_kept"] is False
    assert outcome["notes"] == ["why"]
    assert outcome["figures"][0]["most"] == 0
