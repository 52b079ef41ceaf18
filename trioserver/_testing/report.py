"""What came of making trouble at many places."""

from __future__ import annotations

from typing import Final, final

import attrs

from trioserver._testing.lane import Lane

# What `fail_everywhere` makes. It makes nothing else, and takes no *by*.
_FAULTS: Final = frozenset(lane.value for lane in Lane)

_MISSED: Final = "the run has ended before that moment came"


@final
@attrs.frozen
class Failure:
    """One run in which something was wrong."""

    by: str
    """What made the trouble."""
    number: int
    """Where it did: pass it as *only* to have just this run. 0: there was none."""
    seed: int
    """What decided the order in which the tasks ran."""
    place: str
    """Where it did, in words."""
    problems: tuple[str, ...]
    """What was wrong, in words."""

    def __str__(self) -> str:
        head = "without any trouble:"
        if self.number:
            by = "" if self.by in _FAULTS else f"by={self.by!r}, "
            replay = f"only={self.number}, {by}seed={self.seed}"
            head = f"{replay}: {self.place or _MISSED}"
        return "\n  - ".join([head, *self.problems])


@final
@attrs.define
class Report:
    """What came of running a scenario again and again, with trouble in each run.

    `str` of it is for people to read, and `check` is for tests.
    """

    runs: int = 0
    """How often the scenario was run."""
    moments: dict[str, int] = attrs.Factory(dict[str, int])
    """For each kind of trouble, at how many moments of a run it could be made."""
    tried: dict[str, int] = attrs.Factory(dict[str, int])
    """For each kind of trouble, at how many moments it was made."""
    failures: list[Failure] = attrs.Factory(list[Failure])
    """The runs in which something was wrong."""
    is_cut_short: bool = False
    """Whether it was given up, because so many runs have failed."""

    @property
    def problems(self) -> list[str]:
        """Everything that was wrong, in words."""
        return [text for failure in self.failures for text in failure.problems]

    def note(self, failure: Failure) -> None:
        """Count a run; if *failure* has problems, keep it."""
        self.runs += 1
        if failure.problems:
            self.failures.append(failure)

    def check(self) -> None:
        """Fail if anything was wrong in any run, or if no trouble was made at all.

        Raises:
            AssertionError: With all that is known.
        """
        if self.failures or not any(self.tried.values()):
            raise AssertionError(str(self))

    def __str__(self) -> str:
        counts = ", ".join(
            f"{by} at {tried} of {self.moments[by]}" for by, tried in self.tried.items()
        )
        head = f"{len(self.failures)} of {self.runs} runs failed"
        head += f" ({counts or 'no trouble was made'})"
        if counts and not any(self.tried.values()):
            head += "; no trouble was made, which proves nothing"
        if self.is_cut_short:
            head += "; given up, there may be more"
        return "\n\n".join([head, *map(str, self.failures)])
