"""What this library wants to reach, as ratios within one run, and whether it does."""

from __future__ import annotations

from typing import Final

import attrs

from benchmarks.contenders import CONTENDERS, OURS
from benchmarks.results import Results, Spread
from benchmarks.works import WORKS

EVERYONE: Final = tuple(name for name in CONTENDERS if not name.startswith(OURS))


@attrs.frozen
class Goal:
    """A ratio that is not to be exceeded."""

    work: str
    against: tuple[str, ...]
    limit: float
    best_of: bool = False
    """Whether all of them are one opponent: the best of them in each round."""


@attrs.frozen
class Growth:
    """How much more one work may cost us than another, which is smaller."""

    work: str
    smaller: str
    limit: float


GOALS: Final = (
    Goal("echo-100", ("trio", "asyncio-streams"), 0.45),
    Goal("echo-100", ("gevent",), 0.55),
    Goal("echo-100", ("uvloop-streams",), 0.90),
    # The floor is no opponent there: it answers a whole segment as one.
    Goal("pipelined", tuple(name for name in EVERYONE if name != "raw"), 0.60),
    Goal("connect", ("trio",), 0.30),
    Goal("connect", ("asyncio-streams",), 0.50),
    Goal("connect", ("uvloop-streams",), 0.80),
    Goal("idle", ("asyncio-streams", "uvloop-streams", "trio"), 0.65, best_of=True),
    Goal("udp", ("asyncio-protocols",), 0.45),
    Goal("udp", ("gevent",), 0.55),
    Goal("reply-64m", ("raw",), 1.10),
)

GROWTHS: Final = (Growth("echo-5000", "echo-50", 1.3),)


@attrs.frozen
class Verdict:
    """A goal, beside what was measured."""

    work: str
    against: str
    limit: float
    measured: Spread

    @property
    def is_met(self) -> bool:
        """Whether the median is within the limit."""
        return self.measured.median <= self.limit


def judge(results: Results) -> list[Verdict]:
    """Return a verdict on each goal for which there are figures."""
    return [
        verdict
        for goal in (*GOALS, *GROWTHS)
        for verdict in (
            _judge_growth(goal, results)
            if isinstance(goal, Growth)
            else _judge_goal(goal, results)
        )
    ]


def _judge_goal(goal: Goal, results: Results) -> list[Verdict]:
    opponents = [goal.against] if goal.best_of else [(name,) for name in goal.against]
    figure = WORKS[goal.work].headline.name
    return [
        Verdict(goal.work, _opponent(names), goal.limit, measured)
        for names in opponents
        if (measured := results.ratio(goal.work, OURS, names, figure))
    ]


def _judge_growth(growth: Growth, results: Results) -> list[Verdict]:
    figure = WORKS[growth.work].headline.name
    measured = results.growth(growth.work, growth.smaller, OURS, figure)
    if measured is None:
        return []
    return [Verdict(growth.work, f"itself at {growth.smaller}", growth.limit, measured)]


def _opponent(names: tuple[str, ...]) -> str:
    titles = [CONTENDERS[name].title for name in names]
    return titles[0] if len(titles) == 1 else "the best of " + ", ".join(titles)
