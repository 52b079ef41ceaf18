"""Count the places at which trouble was made, over all tests and all processes.

A test's report has the numbers, and so they come from wherever the test has run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias, cast

import attrs
import pytest

from trioserver.testing import Report

# The name of a property of a test.
_PROPERTY: Final = "points"

_Properties: TypeAlias = list[tuple[str, object]]


@attrs.frozen
class Points:
    """Takes note of what one test has tried."""

    properties: _Properties

    def note(self, subject: str, report: Report) -> None:
        """Count the points of *report* for *subject*."""
        for by, tried in report.tried.items():
            row = [subject, by, tried, max(tried, report.moments[by])]
            self.properties.append((_PROPERTY, row))


def summary(reports: Iterable[pytest.TestReport]) -> list[str]:
    """Return what the tests of *reports* have tried, as the lines of a table."""
    tried: Counter[tuple[str, str]] = Counter()
    there: Counter[tuple[str, str]] = Counter()
    for subject, by, count, of in _rows(reports):
        for key in ((subject, by), (subject, "all"), ("all", by), ("all", "all")):
            tried[key] += count
            there[key] += of
    if not tried:
        return []
    kinds = sorted({by for _, by in tried} - {"all"})
    subjects = sorted({subject for subject, _ in tried} - {"all"})
    lines = [["", *kinds, "all"]]
    lines += [
        [subject, *(f"{tried[subject, by]}" for by in (*kinds, "all"))]
        for subject in (*subjects, "all")
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    everything = "all", "all"
    head = f"{tried[everything]} of {there[everything]} injection points were tried"
    return [head, *table]


def _rows(
    reports: Iterable[pytest.TestReport],
) -> Iterator[tuple[str, str, int, int]]:
    for report in reports:
        for name, row in report.user_properties:
            if name == _PROPERTY:
                yield cast(
                    "tuple[str, str, int, int]", tuple(cast("list[object]", row))
                )
