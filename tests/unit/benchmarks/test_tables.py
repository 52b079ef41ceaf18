"""The tables that are printed, and the page that shows them."""

from __future__ import annotations

import pytest

from benchmarks.docs_page import BEGIN, END, PAGE, replace_results
from benchmarks.goals import judge
from benchmarks.results import Failure, Results, Sample
from benchmarks.tables import (
    NOTHING,
    TO,
    Table,
    goal_table,
    lost_to,
    ratio_table,
    work_table,
)


@pytest.fixture
def results() -> Results:
    figures = {"trioserver": 8000.0, "trio": 4000.0, "gevent": 16000.0}
    return Results(
        {"processor": "a fast one"},
        [
            Sample("idle", name, 0, {"connection_bytes": value, "process_mib": 20.0})
            for name, value in figures.items()
        ],
    )


def test_a_table_is_aligned() -> None:
    table = Table(("who", "µs"), [("trio", "5"), ("me", "12.5")])

    assert table.to_text() == "who     µs\ntrio     5\nme    12.5"


def test_a_table_is_markdown() -> None:
    table = Table(("who", "µs"), [("trio", "5")])

    assert table.to_markdown() == "| who | µs |\n| --- | ---: |\n| trio | 5 |"


def test_the_table_of_a_work_has_the_best_first(results: Results) -> None:
    assert work_table(results, "idle").rows == [
        ("trio.serve_tcp", "4,000", "20.0", f"2.00 [2.00{TO}2.00]"),
        ("trioserver", "8,000", "20.0", ""),
        ("gevent", "16,000", "20.0", f"0.50 [0.50{TO}0.50]"),
    ]


def test_the_table_of_ratios_has_a_column_for_each_work(results: Results) -> None:
    results.samples.append(Sample("udp", "trioserver", 0, {"cpu_us": 10.0}))
    results.samples.append(Sample("udp", "gevent", 0, {"cpu_us": 5.0}))

    table = ratio_table(results)

    assert table.head == ("trioserver / this", "idle", "udp")
    assert table.rows == [
        ("trio.serve_tcp", "2.00", NOTHING),
        ("gevent", "0.50", "2.00"),
    ]


def test_what_we_lose_at_is_said(results: Results) -> None:
    sentence = "memory of an idle connection, 5 000 of them: trio.serve_tcp (2.00)"

    assert lost_to(results) == [sentence]


def test_goals_are_met_or_missed(results: Results) -> None:
    results.samples += [
        Sample("idle", name, 0, {"connection_bytes": 9000.0})
        for name in ("asyncio-streams", "uvloop-streams")
    ]

    [row] = goal_table(judge(results)).rows

    assert row[0] == "idle"
    assert row[2:] == ("0.65", f"2.00 [2.00{TO}2.00]", "missed")


def test_the_page_gets_new_results_and_keeps_its_words(results: Results) -> None:
    results.failures.append(Failure("stop", "gevent", 0, "has not stopped"))
    page = f"# Benchmarks\n\n{BEGIN}old\n{END}\nThe end.\n"

    new = replace_results(page, results, [])

    assert new.startswith(f"# Benchmarks\n\n{BEGIN}")
    assert new.endswith(f"{END}\nThe end.\n")
    assert "old" not in new
    assert "- processor: a fast one" in new
    assert "`stop`, gevent: has not stopped" in new
    assert replace_results(new, results, []) == new


def test_a_page_without_marks_is_an_error(results: Results) -> None:
    with pytest.raises(ValueError, match="lost the marks"):
        replace_results("# Benchmarks\n", results, [])


def test_the_page_of_the_documentation_has_them(results: Results) -> None:
    assert replace_results(PAGE.read_text("utf-8"), results, [])
