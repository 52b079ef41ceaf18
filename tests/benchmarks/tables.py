"""The results as tables: aligned for a terminal, or in Markdown for a page."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import attrs

from benchmarks.contenders import CONTENDERS, OURS
from benchmarks.goals import Verdict
from benchmarks.results import Results, Spread
from benchmarks.works import LOAD, SERVER, WORKS, Figure

# Percent of its core above which a program may be what others wait for.
BUSY: Final = 90

# Works in which a server has something to do at any time.
SATURATING: Final = ("echo-50", "echo-100", "echo-1000", "echo-5000", "pipelined")

# Between two ends, and where there is no figure: a dash.
TO: Final = "\N{EN DASH}"
NOTHING: Final = TO


def _has_figures(column: Iterable[str]) -> bool:
    return any(cell[:1].isdigit() for cell in column)


@attrs.frozen
class Table:
    """Cells with a head; columns of numbers end on one line."""

    head: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def to_text(self) -> str:
        """Return it with aligned columns."""
        columns = zip(self.head, *self.rows, strict=True)
        widths = [max(map(len, column)) for column in columns]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if index else cell.ljust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in (self.head, *self.rows)
        )

    def to_markdown(self) -> str:
        """Return it as a table in Markdown."""
        columns = zip(self.head, *self.rows, strict=True)
        rule = tuple("---:" if _has_figures(cells) else "---" for _, *cells in columns)
        rows = (self.head, rule, *self.rows)
        return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def work_table(results: Results, work: str) -> Table:
    """Return who has done a work how well, the best first."""
    figures = WORKS[work].figures
    headline = figures[0].name
    ranked = sorted(
        results.contenders(work),
        key=lambda name: _median(results.spread(work, name, headline)),
    )
    return Table(
        (
            "",
            *(figure.unit for figure in figures),
            f"{OURS} / this",
        ),
        [
            (
                CONTENDERS[name].title,
                *(_cell(results.spread(work, name, f.name), f) for f in figures),
                ""
                if name == OURS
                else ratio_cell(results.ratio(work, OURS, (name,), headline)),
            )
            for name in ranked
        ],
    )


def ratio_table(results: Results) -> Table:
    """Return the median of our ratio to each of the others, in every work."""
    works = [work for work in results.works if OURS in results.contenders(work)]
    names = [
        name
        for name in CONTENDERS
        if name != OURS and any(name in results.contenders(work) for work in works)
    ]
    return Table(
        (f"{OURS} / this", *works),
        [
            (
                CONTENDERS[name].title,
                *(_median_ratio(results, work, name) for work in works),
            )
            for name in names
        ],
    )


def goal_table(verdicts: Iterable[Verdict]) -> Table:
    """Return each goal, beside what was measured."""
    return Table(
        ("goal", "against", "at most", "measured", ""),
        [
            (
                verdict.work,
                verdict.against,
                f"{verdict.limit:.2f}",
                ratio_cell(verdict.measured),
                "met" if verdict.is_met else "missed",
            )
            for verdict in verdicts
        ],
    )


def lost_to(results: Results) -> list[str]:
    """Return, a sentence for each work, who needs less than we do."""
    return _compared(results, lambda ratio: ratio > 1)


def won_against(results: Results) -> list[str]:
    """Return, a sentence for each work, who needs more than we do."""
    return _compared(results, lambda ratio: ratio < 1)


def _compared(results: Results, applies: Callable[[float], bool]) -> list[str]:
    sentences = []
    for work in results.works:
        figure = WORKS[work].headline.name
        named = [
            f"{CONTENDERS[name].title} {ratio_cell(ratio)}"
            for name in results.contenders(work)
            if not name.startswith(OURS)
            if (ratio := results.ratio(work, OURS, (name,), figure))
            if applies(ratio.median)
        ]
        if named:
            sentences.append(f"{WORKS[work].title}: {'; '.join(named)}")
    return sentences


def busy_clients(results: Results) -> list[str]:
    """Return, a sentence each, where the clients may have been what limits a rate."""
    return [
        f"{WORKS[work].title}: {CONTENDERS[name].title} ({load.median:.0f} %)"
        for work in results.works
        for name in results.contenders(work)
        if (load := results.spread(work, name, LOAD.name)) and load.median > BUSY
    ]


def core_share(results: Results) -> Spread | None:
    """Return how much of its core our server had while it had all it could do."""
    return Spread.of(
        [
            sample.figures[SERVER.name]
            for sample in results.samples
            if sample.contender == OURS and sample.work in SATURATING
        ]
    )


def ratio_cell(ratio: Spread | None) -> str:
    """Return a ratio with its spread."""
    if ratio is None:
        return NOTHING
    if ratio.least == ratio.most:
        # One round has no spread.
        return f"{ratio.median:.2f}"
    return f"{ratio.median:.2f} [{ratio.least:.2f}{TO}{ratio.most:.2f}]"


def _median_ratio(results: Results, work: str, name: str) -> str:
    ratio = results.ratio(work, OURS, (name,), WORKS[work].headline.name)
    return NOTHING if ratio is None else f"{ratio.median:.2f}"


def _cell(spread: Spread | None, figure: Figure) -> str:
    if spread is None:
        return NOTHING
    # Two digits at least: "0.8" may be 0.75 or 0.85.
    digits = figure.digits + (figure.digits > 0 and spread.median < 10)
    return f"{spread.median:,.{digits}f}"


def _median(spread: Spread | None) -> float:
    return float("inf") if spread is None else spread.median
