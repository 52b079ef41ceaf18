"""Goals: what is compared with whom, and the verdict."""

from __future__ import annotations

from benchmarks.contenders import CONTENDERS
from benchmarks.goals import GOALS, GROWTHS, judge
from benchmarks.results import Results, Sample
from benchmarks.works import WORKS


def results(work: str, figure: str, **values: float) -> Results:
    """Return results of one round: by contender, its figure."""
    return Results(
        {},
        [
            Sample(work, name.replace("_", "-"), 0, {figure: value})
            for name, value in values.items()
        ],
    )


def test_a_goal_is_met_at_its_limit_and_missed_above() -> None:
    measured = results("connect", "cpu_us", trioserver=30.0, trio=100.0)
    measured.samples += results("connect", "cpu_us", asyncio_streams=50.0).samples

    verdicts = {verdict.against: verdict for verdict in judge(measured)}

    assert verdicts["trio.serve_tcp"].is_met
    assert not verdicts["asyncio streams"].is_met


def test_a_goal_against_the_best_needs_all_of_them() -> None:
    some = results("idle", "connection_bytes", trioserver=3000, trio=5000)
    more = results(
        "idle", "connection_bytes", asyncio_streams=6000, uvloop_streams=4000
    )
    both = Results({}, some.samples + more.samples)

    [verdict] = judge(both)

    assert judge(some) == []
    assert verdict.measured.median == 0.75
    assert verdict.against.startswith("the best of asyncio streams")


def test_growth_is_judged_against_ourselves() -> None:
    measured = results("echo-50", "cpu_us", trioserver=10.0, trio=1.0)
    measured.samples += results("echo-5000", "cpu_us", trioserver=14.0).samples

    [verdict] = judge(measured)

    assert (verdict.measured.median, verdict.is_met) == (1.4, False)


def test_each_goal_names_what_there_is() -> None:
    for goal in GOALS:
        service = WORKS[goal.work].service
        assert goal.against
        for name in goal.against:
            # "Every one of them" includes those that have no such service.
            assert name in CONTENDERS
        assert any(service in CONTENDERS[name].services for name in goal.against)
    for growth in GROWTHS:
        assert {growth.work, growth.smaller} <= set(WORKS)
