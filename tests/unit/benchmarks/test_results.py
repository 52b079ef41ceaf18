"""The arithmetic of benchmarks: medians, and ratios round by round."""

from __future__ import annotations

import pytest

from benchmarks.results import Failure, Results, Sample, Spread


def results(**figures: list[float]) -> Results:
    """Return results of one work: by contender, its CPU time in each round."""
    return Results(
        {"date": "2026-11-25"},
        [
            Sample("echo-100", name.replace("_", "-"), number, {"cpu_us": value})
            for name, values in figures.items()
            for number, value in enumerate(values)
        ],
    )


def test_a_spread_is_the_median_between_the_extremes() -> None:
    assert Spread.of([3.0, 1.0, 8.0]) == Spread(median=3.0, least=1.0, most=8.0)


def test_there_is_no_spread_of_nothing() -> None:
    assert Spread.of([]) is None


def test_a_ratio_is_taken_within_a_round() -> None:
    """A machine that is slow for a round is slow for both."""
    measured = results(trioserver=[10.0, 100.0, 20.0], trio=[20.0, 200.0, 20.0])

    ratio = measured.ratio("echo-100", "trioserver", ("trio",), "cpu_us")

    assert ratio == Spread(median=0.5, least=0.5, most=1.0)


def test_a_ratio_to_several_is_to_the_best_of_each_round() -> None:
    measured = results(trioserver=[10.0, 10.0], trio=[20.0, 40.0], gevent=[40.0, 20.0])

    ratio = measured.ratio("echo-100", "trioserver", ("trio", "gevent"), "cpu_us")

    assert ratio == Spread(0.5, 0.5, 0.5)


def test_a_round_that_one_has_not_done_has_no_ratio() -> None:
    measured = results(trioserver=[10.0, 10.0], trio=[20.0])

    ratio = measured.ratio("echo-100", "trioserver", ("trio",), "cpu_us")

    assert ratio == Spread(0.5, 0.5, 0.5)


def test_there_is_no_ratio_to_one_who_has_done_nothing() -> None:
    measured = results(trioserver=[10.0])

    assert measured.ratio("echo-100", "trioserver", ("trio",), "cpu_us") is None


def test_growth_is_the_ratio_of_two_works() -> None:
    measured = results(trioserver=[10.0])
    measured.samples.append(Sample("echo-5000", "trioserver", 0, {"cpu_us": 12.0}))

    growth = measured.growth("echo-5000", "echo-100", "trioserver", "cpu_us")

    assert growth == Spread(1.2, 1.2, 1.2)


def test_a_latency_curve_is_the_median_of_each_percentile() -> None:
    measured = Results({})
    for number, (half, most) in enumerate([(1.0, 9.0), (2.0, 8.0), (3.0, 7.0)]):
        curve = {"50": half, "99.9": most}
        measured.samples.append(Sample("connect", "trio", number, {}, curve))

    assert measured.latency("connect", "trio") == {50.0: 2.0, 99.9: 8.0}
    assert measured.latency("connect", "gevent") == {}


def test_what_was_written_is_read_again() -> None:
    measured = results(trioserver=[10.0], trio=[20.0])
    measured.failures.append(Failure("udp", "gevent", 0, "has not come up"))

    assert Results.from_json(measured.to_json()) == measured


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"about": {}, "samples": [{}]}'])
def test_what_are_no_results_is_an_error(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Results.from_json(text)
