"""What was found: figures beside their bounds, and whether each promise was kept."""

from __future__ import annotations

import json

import attrs


@attrs.frozen
class Figure:
    """One number, and what it may be at the most or must be at the least."""

    name: str
    value: float
    unit: str = ""
    most: float | None = None
    least: float | None = None
    digits: int = 0

    @property
    def is_kept(self) -> bool:
        """Whether it is within its bounds; one without bounds always is."""
        return (self.most is None or self.value <= self.most) and (
            self.least is None or self.value >= self.least
        )

    def to_text(self) -> str:
        """Return it as in ``memory 31.2 MiB (at most 32.0)``."""
        unit = f" {self.unit}" if self.unit else ""
        text = f"{self.name} {self._number(self.value)}{unit}{self._bounds()}"
        return text if self.is_kept else f"{text} BROKEN"

    def _bounds(self) -> str:
        if self.most is not None and self.most == self.least:
            return f" (must be {self._number(self.most)})"
        words = [
            f"{word} {self._number(bound)}"
            for word, bound in (("at most", self.most), ("at least", self.least))
            if bound is not None
        ]
        return f" ({', '.join(words)})" if words else ""

    def _number(self, value: float) -> str:
        return f"{value:,.{self.digits}f}".replace(",", " ")


def exactly(name: str, value: float, expected: float) -> Figure:
    """Return a figure that must be one number."""
    return Figure(name, value, most=expected, least=expected)


@attrs.frozen
class Outcome:
    """What one check has found."""

    check: str
    work: str
    """What was done, as in ``200 000 connections``."""

    figures: list[Figure]
    seconds: float = 0.0
    notes: list[str] = attrs.field(factory=list)

    @property
    def is_kept(self) -> bool:
        """Whether every figure is within its bounds."""
        return all(figure.is_kept for figure in self.figures)

    def to_text(self) -> str:
        """Return it as one line."""
        figures = "; ".join(figure.to_text() for figure in self.figures)
        verdict = "ok" if self.is_kept else "BROKEN"
        work = f"{self.work} in {self.seconds:.0f} s"
        return f"{self.check}: {work}; {figures} ... {verdict}"


@attrs.frozen
class Report:
    """All of a run."""

    about: dict[str, str]
    outcomes: list[Outcome]

    @property
    def is_kept(self) -> bool:
        """Whether every promise was kept."""
        return all(outcome.is_kept for outcome in self.outcomes)

    def to_json(self) -> str:
        """Return it for programs."""
        plain = attrs.asdict(self)
        for outcome, found in zip(plain["outcomes"], self.outcomes, strict=True):
            outcome["is_kept"] = found.is_kept
        return json.dumps(plain, indent=2)

    def to_table(self) -> str:
        """Return one line for each check, aligned."""
        head = ("check", "seconds", "figures", "broken", "")
        rows = [
            (
                outcome.check,
                f"{outcome.seconds:.0f}",
                str(len(outcome.figures)),
                str(sum(not figure.is_kept for figure in outcome.figures)),
                "ok" if outcome.is_kept else "BROKEN",
            )
            for outcome in self.outcomes
        ]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if 0 < index < 4 else cell.ljust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in (head, *rows)
        )
