"""Measure many things, in an order that is fair: the contenders alternate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import attrs

from benchmarks.contenders import CONTENDERS
from benchmarks.load_process import LoadError
from benchmarks.results import Failure, Results, Sample
from benchmarks.sampling import Bench, measure
from benchmarks.server_process import ServerError
from benchmarks.works import WORKS


@attrs.frozen
class Turn:
    """One contender does one work once."""

    work: str
    round: int
    contender: str


def turns(plan: Mapping[str, tuple[str, ...]], rounds: int) -> Iterator[Turn]:
    """Yield the turns of *plan*: round by round, and work by work.

    Those that are compared follow each other, so that they have the same weather.
    Every other round goes backwards, so that nobody always follows the same one.
    """
    for number in range(rounds):
        for work, contenders in plan.items():
            order = contenders if number % 2 == 0 else tuple(reversed(contenders))
            for contender in order:
                yield Turn(work, number, contender)


def measure_all(
    todo: list[Turn],
    results: Results,
    bench: Bench,
    show: Callable[[str], None],
) -> None:
    """Measure what is to do, add it to *results*, and show how it goes."""
    begin = time.monotonic()
    for number, turn in enumerate(todo):
        if time.monotonic() - begin > bench.pace.budget:
            show(f"time is up: {len(todo) - number} turns are left out")
            return
        outcome = _measure(turn, results, bench)
        elapsed = time.monotonic() - begin
        left = elapsed / (number + 1) * (len(todo) - number - 1)
        show(
            f"[{number + 1}/{len(todo)}, {left:.0f} s left]"
            f" {turn.work}, round {turn.round + 1}: {turn.contender} {outcome}"
        )


def _measure(turn: Turn, results: Results, bench: Bench) -> str:
    work = WORKS[turn.work]
    try:
        measured = measure(work, CONTENDERS[turn.contender], bench)
    except (LoadError, ServerError) as error:
        failure = Failure(turn.work, turn.contender, turn.round, str(error))
        results.failures.append(failure)
        return f"failed: {error}"
    sample = Sample(
        turn.work,
        turn.contender,
        turn.round,
        measured.figures,
        measured.latency_us,
    )
    results.samples.append(sample)
    headline = work.headline
    return f"{measured.figures[headline.name]:,.{headline.digits}f} {headline.unit}"
