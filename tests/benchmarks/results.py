"""What was measured: medians, and ratios within a round with their spread."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Self

import attrs


@attrs.frozen
class Spread:
    """Several values of one thing."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self | None:
        """Return the spread of *values*, or None if there are none."""
        if not values:
            return None
        return cls(statistics.median(values), min(values), max(values))


@attrs.frozen
class Sample:
    """What one contender has done in one round of a work."""

    work: str
    contender: str
    round: int
    figures: dict[str, float]
    latency_us: dict[str, float] = attrs.field(factory=dict)
    """By percentile."""


@attrs.frozen
class Failure:
    """Why there is no sample."""

    work: str
    contender: str
    round: int
    reason: str


@attrs.define
class Results:
    """All of a run."""

    about: dict[str, str]
    samples: list[Sample] = attrs.field(factory=list)
    failures: list[Failure] = attrs.field(factory=list)

    @property
    def works(self) -> list[str]:
        """The works that were measured, in their order."""
        return list(dict.fromkeys(sample.work for sample in self.samples))

    def contenders(self, work: str) -> list[str]:
        """Return who has done *work*."""
        names = (sample.contender for sample in self.samples if sample.work == work)
        return list(dict.fromkeys(names))

    def by_round(self, work: str, contender: str, figure: str) -> dict[int, float]:
        """Return a figure in each round."""
        return {
            sample.round: sample.figures[figure]
            for sample in self.samples
            if (sample.work, sample.contender) == (work, contender)
            and figure in sample.figures
        }

    def spread(self, work: str, contender: str, figure: str) -> Spread | None:
        """Return a figure over all rounds."""
        return Spread.of(list(self.by_round(work, contender, figure).values()))

    def ratio(
        self, work: str, contender: str, against: tuple[str, ...], figure: str
    ) -> Spread | None:
        """Return the ratio to the least of *against*, round by round."""
        ours = self.by_round(work, contender, figure)
        theirs = [self.by_round(work, name, figure) for name in against]
        return Spread.of(
            [
                ours[number] / min(values[number] for values in theirs)
                for number in ours
                if all(number in values for values in theirs)
            ]
        )

    def growth(
        self, work: str, smaller: str, contender: str, figure: str
    ) -> Spread | None:
        """Return the ratio of one work to a smaller one, round by round."""
        large = self.by_round(work, contender, figure)
        small = self.by_round(smaller, contender, figure)
        return Spread.of([large[n] / small[n] for n in large if n in small])

    def latency(self, work: str, contender: str) -> dict[float, float]:
        """Return the median of each percentile, over all rounds."""
        curves = [
            sample.latency_us
            for sample in self.samples
            if (sample.work, sample.contender) == (work, contender)
            and sample.latency_us
        ]
        return {
            float(percent): statistics.median(curve[percent] for curve in curves)
            for percent in (curves[0] if curves else ())
        }

    def to_json(self) -> str:
        """Return all of it as text."""
        return json.dumps(attrs.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` has made into text."""
        content = json.loads(text)
        return cls(
            about=content["about"],
            samples=[Sample(**sample) for sample in content["samples"]],
            failures=[Failure(**failure) for failure in content["failures"]],
        )
