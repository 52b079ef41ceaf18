"""The parts of `benchmarks.md` and `speed.md` that are made of results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from benchmarks.contenders import CONTENDERS
from benchmarks.goals import judge
from benchmarks.machine import ROOT
from benchmarks.results import Results
from benchmarks.tables import (
    busy_clients,
    core_share,
    goal_table,
    lost_to,
    ratio_table,
    won_against,
    work_table,
)
from benchmarks.works import WORKS

PAGE: Final = ROOT / "docs" / "explanation" / "benchmarks.md"
SPEED_PAGE: Final = PAGE.with_name("speed.md")
PICTURES: Final = PAGE.with_suffix("")

BEGIN: Final = "<!-- results: written by `nox -s benchmarks -- --docs` -->\n"
END: Final = "<!-- the end of the results -->\n"


def update(results: Results, draw: Callable[[Results, Path], list[Path]]) -> Path:
    """Write the results into the page, and the pictures that *draw* makes beside it."""
    for old in PICTURES.glob("*.svg"):
        old.unlink()
    pictures = draw(results, PICTURES)
    (PICTURES / "results.json").write_text(results.to_json() + "\n", "utf-8")
    PAGE.write_text(
        replace_results(PAGE.read_text("utf-8"), results, pictures), "utf-8"
    )
    SPEED_PAGE.write_text(
        replace_goals(SPEED_PAGE.read_text("utf-8"), results), "utf-8"
    )
    return PAGE


def replace_results(text: str, results: Results, pictures: list[Path]) -> str:
    """Return the page *text* with these results in the place of the old ones."""
    return _replace(text, "\n\n".join(_sections(results, pictures)))


def replace_goals(text: str, results: Results) -> str:
    """Return the page *text* with the goals, and what these results say of them."""
    return _replace(text, goal_table(judge(results)).to_markdown())


def _replace(text: str, body: str) -> str:
    """Return *text* with *body* between the marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        message = "the page has lost the marks between which the results stand"
        raise ValueError(message)
    return f"{before}{BEGIN}\n{body}\n\n{END}{after}"


def _sections(results: Results, pictures: list[Path]) -> Iterator[str]:
    yield "## The machine"
    yield "\n".join(f"- {name}: {value}" for name, value in results.about.items())
    yield from _conditions(results)
    yield "## Goals"
    yield (
        "Ratios of our figure to the other one:"
        " the median, and the least and the most of the rounds."
    )
    yield goal_table(judge(results)).to_markdown()
    yield "## What we lose at, and what we win"
    yield (
        "The numbers say how many times as much as the one named we need,"
        " with the spread over the rounds: one that reaches over 1 is no result."
    )
    yield "These need less than we do:"
    yield _listed(lost_to(results))
    yield "These need more:"
    yield _listed(won_against(results))
    yield "## Against each of the others"
    yield "Medians; below 1, we need less. The next section says what each column is."
    yield ratio_table(results).to_markdown()
    yield "## Work by work"
    for work in results.works:
        yield f"### `{work}`: {WORKS[work].title}"
        yield work_table(results, work).to_markdown()
        yield from _pictures_of(work, pictures)
    yield from _growth(pictures)
    if results.failures:
        yield "## What has failed"
        yield "\n".join(
            f"- `{failure.work}`, {CONTENDERS[failure.contender].title}:"
            f" {failure.reason}"
            for failure in results.failures
        )


def _conditions(results: Results) -> Iterator[str]:
    if share := core_share(results):
        yield (
            f"Under full load, our server had {share.median:.0f} % of its core"
            f" (from {share.least:.0f} to {share.most:.0f});"
            " the rest went to whatever else ran on this machine."
        )
    if busy := busy_clients(results):
        yield "The clients were busy here, so that a rate may be theirs:"
        yield _listed(busy)


def _listed(sentences: list[str]) -> str:
    return "\n".join(f"- {sentence}." for sentence in sentences) or "- nobody."


def _pictures_of(work: str, pictures: list[Path]) -> Iterator[str]:
    titles = {f"{work}.svg": "figures", f"latency-{work}.svg": "latency"}
    for picture in pictures:
        if picture.name in titles:
            title = f"{WORKS[work].title}: {titles[picture.name]}"
            yield f"![{title}]({PICTURES.name}/{picture.name})"


def _growth(pictures: list[Path]) -> Iterator[str]:
    if any(picture.name == "growth.svg" for picture in pictures):
        yield "## Cost against the number of connections"
        yield f"![CPU time of an echo, by connections]({PICTURES.name}/growth.svg)"
