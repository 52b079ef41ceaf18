"""The tables that are printed, and the page that shows them."""

from __future__ import annotations

import pytest

from benchmarks.docs_page import (
    BEGIN,
    END,
    PAGE,
    PICTURES,
    SPEED_PAGE,
    replace_goals,
    replace_results,
)
from benchmarks.goals import judge
from benchmarks.results import Failure, Results, Sample, Spread
from benchmarks.tables import (
    NOTHING,
    TO,
    Table,
    busy_clients,
    core_share,
    goal_table,
    lost_to,
    ratio_cell,
    ratio_table,
    won_against,
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


def test_a_column_of_words_begins_on_one_line() -> None:
    table = Table(("who", "beside", "µs"), [("a", "b", ""), ("a", "c", "5")])

    assert table.to_markdown().splitlines()[1] == "| --- | --- | ---: |"


def test_the_table_of_a_work_has_the_best_first(results: Results) -> None:
    assert work_table(results, "idle").rows == [
        ("trio.serve_tcp", "4,000", "20.0", "2.00"),
        ("trioserver", "8,000", "20.0", ""),
        ("gevent", "16,000", "20.0", "0.50"),
    ]


def test_a_ratio_has_its_spread_unless_there_is_one_round() -> None:
    assert ratio_cell(Spread(0.5, 0.25, 1.0)) == f"0.50 [0.25{TO}1.00]"
    assert ratio_cell(Spread(0.5, 0.5, 0.5)) == "0.50"
    assert ratio_cell(None) == NOTHING


def test_the_table_of_ratios_has_a_column_for_each_work(results: Results) -> None:
    results.samples.append(Sample("udp", "trioserver", 0, {"cpu_us": 10.0}))
    results.samples.append(Sample("udp", "gevent", 0, {"cpu_us": 5.0}))

    table = ratio_table(results)

    assert table.head == ("trioserver / this", "idle", "udp")
    assert table.rows == [
        ("trio.serve_tcp", "2.00", NOTHING),
        ("gevent", "0.50", "2.00"),
    ]


def test_what_we_lose_at_is_said_as_plainly_as_what_we_win(results: Results) -> None:
    work = "memory of an idle connection, 5 000 of them"

    assert lost_to(results) == [f"{work}: trio.serve_tcp 2.00"]
    assert won_against(results) == [f"{work}: gevent 0.50"]


def test_clients_that_were_busy_are_named(results: Results) -> None:
    for number, load in enumerate((80.0, 95.0, 99.0)):
        results.samples.append(Sample("udp", "raw", number, {"load_busy": load}))
        results.samples.append(Sample("udp", "trio", number, {"load_busy": 50.0}))

    assert busy_clients(results) == [
        "UDP echo of 64 bytes, 50 clients: raw sockets (floor) (95 %)"
    ]


def test_the_share_of_a_core_is_that_of_our_server_under_load(results: Results) -> None:
    for name, work, share in (
        ("trioserver", "echo-100", 70.0),
        ("trioserver", "echo-50", 90.0),
        ("trioserver", "steady", 10.0),
        ("raw", "echo-50", 20.0),
    ):
        results.samples.append(Sample(work, name, 0, {"server_busy": share}))

    assert core_share(results) == Spread(median=80.0, least=70.0, most=90.0)
    assert core_share(Results({})) is None


def test_goals_are_met_or_missed(results: Results) -> None:
    results.samples += [
        Sample("idle", name, 0, {"connection_bytes": 9000.0})
        for name in ("asyncio-streams", "uvloop-streams")
    ]

    [row] = goal_table(judge(results)).rows

    assert row[0] == "idle"
    assert row[2:] == ("0.65", "2.00", "missed")


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


def test_the_page_of_the_goals_is_of_the_results_that_are_kept() -> None:
    page = SPEED_PAGE.read_text("utf-8")
    kept = Results.from_json((PICTURES / "results.json").read_text("utf-8"))

    assert replace_goals(page, kept) == page
