"""The results as pictures, in SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.contenders import CONTENDERS, OURS
from benchmarks.results import Results
from benchmarks.works import CPU, WORKS

# Works whose latency is drawn.
CURVES: Final = ("steady", "echo-1", "echo-100", "connect")

# The echoes, by their number of connections.
ECHOES: Final = {
    work.connections: name for name, work in WORKS.items() if name.startswith("echo-")
}

# As many lines as the eye can follow.
DRAWN: Final = (
    OURS,
    "raw",
    "trio",
    "asyncio-streams",
    "uvloop-streams",
    "gevent",
    "socketserver-threading",
)

# How many times as long as ours a bar may be: the rest of it is cut off, so that one
# that is far behind does not make all others look alike.
CUT: Final = 5

OUR_COLOUR: Final = "#d1495b"
FLOOR_COLOUR: Final = "#2e4057"
OTHER_COLOUR: Final = "#8d99ae"
COLOURS: Final = dict(
    zip(
        DRAWN,
        (
            OUR_COLOUR,
            FLOOR_COLOUR,
            "#00798c",
            "#edae49",
            "#66a182",
            "#7a5195",
            "#9a8c98",
        ),
        strict=True,
    )
)

# SVG without the date and with fixed names: the same results make the same file.
mpl.use("svg")
mpl.rcParams.update(
    {
        "svg.hashsalt": "trioserver",
        "svg.fonttype": "none",
        "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.facecolor": "white",
    }
)


def draw_all(results: Results, directory: Path) -> list[Path]:
    """Draw what there are results for. Return the files."""
    directory.mkdir(parents=True, exist_ok=True)
    drawn = [
        *(_draw_bars(results, name, directory) for name in WORKS),
        *(_draw_latency(results, name, directory) for name in CURVES),
        _draw_growth(results, directory),
    ]
    return [file for file in drawn if file is not None]


def _draw_bars(results: Results, work: str, directory: Path) -> Path | None:
    figure = WORKS[work].headline
    spreads = {
        name: spread
        for name in results.contenders(work)
        if (spread := results.spread(work, name, figure.name))
    }
    if not spreads:
        return None
    names = sorted(spreads, key=lambda name: spreads[name].median, reverse=True)
    medians = [spreads[name].median for name in names]
    below = [spreads[name].median - spreads[name].least for name in names]
    above = [spreads[name].most - spreads[name].median for name in names]
    canvas, axes = plt.subplots(figsize=(7, 0.6 + 0.27 * len(names)))
    axes.barh(
        [CONTENDERS[name].title for name in names],
        medians,
        xerr=(below, above),
        color=[_bar_colour(name) for name in names],
        error_kw={"elinewidth": 1, "ecolor": "#444444", "capsize": 2},
    )
    ends = [median + more for median, more in zip(medians, above, strict=True)]
    end = min(max(ends), CUT * spreads.get(OURS, spreads[names[0]]).median)
    for index, median in enumerate(medians):
        label = f" {median:,.{figure.digits}f}{' …' if median > end else ''}"
        axes.text(min(ends[index], end), index, label, va="center", fontsize=8)
    axes.set_xlim(0, end)
    axes.set_title(f"{WORKS[work].title}: {figure.unit}, less is better", fontsize=9)
    return _save(canvas, directory / f"{work}.svg")


def _draw_latency(results: Results, work: str, directory: Path) -> Path | None:
    curves = {name: results.latency(work, name) for name in DRAWN}
    curves = {name: curve for name, curve in curves.items() if curve}
    if not curves:
        return None
    canvas, axes = plt.subplots(figsize=(7, 3.6))
    for name, curve in curves.items():
        # As 1 in so many requests: the percentiles that matter are near the end.
        points = {1 / (1 - p / 100): v for p, v in curve.items() if 50 <= p < 100}
        _draw_line(axes, name, list(points), [value / 1e3 for value in points.values()])
    ticks = {2: "50", 10: "90", 100: "99", 1000: "99.9", 10000: "99.99"}
    axes.set_xscale("log")
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.minorticks_off()
    axes.set_xlabel("percentile")
    axes.set_ylabel("latency, ms")
    _scale_up(axes)
    axes.set_title(f"{WORKS[work].title}: latency", fontsize=9)
    return _save(canvas, directory / f"latency-{work}.svg")


def _draw_growth(results: Results, directory: Path) -> Path | None:
    canvas, axes = plt.subplots(figsize=(7, 3.6))
    drawn: set[int] = set()
    for name in DRAWN:
        points = {
            connections: spread.median
            for connections, work in ECHOES.items()
            if (spread := results.spread(work, name, CPU.name))
        }
        if len(points) > 1:
            _draw_line(axes, name, list(points), list(points.values()))
            drawn |= set(points)
    if not drawn:
        plt.close(canvas)
        return None
    axes.set_xscale("log")
    axes.set_xticks(sorted(drawn), [f"{number:,}" for number in sorted(drawn)])
    axes.minorticks_off()
    _scale_up(axes)
    axes.set_xlabel("connections")
    axes.set_ylabel("CPU µs for one echo")
    axes.set_title("cost against the number of connections", fontsize=9)
    return _save(canvas, directory / "growth.svg")


def _scale_up(axes: Axes) -> None:
    """Make the vertical axis logarithmic, with numbers as people write them."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    # Beside the lines, where it hides none.
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def _draw_line(axes: Axes, name: str, x: list[float], y: list[float]) -> None:
    axes.plot(
        x,
        y,
        label=CONTENDERS[name].title,
        color=COLOURS[name],
        marker="o",
        markersize=3,
        linewidth=2.2 if name == OURS else 1.2,
        zorder=3 if name == OURS else 2,
    )


def _bar_colour(name: str) -> str:
    if name.startswith(OURS):
        return OUR_COLOUR
    return FLOOR_COLOUR if name == "raw" else OTHER_COLOUR


def _save(canvas: plt.Figure, file: Path) -> Path:
    canvas.tight_layout()
    canvas.savefig(file, metadata={"Date": None})
    plt.close(canvas)
    return file
