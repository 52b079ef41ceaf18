"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks import docs_page, machine
from benchmarks.contenders import CONTENDERS, OURS
from benchmarks.goals import judge
from benchmarks.honesty import check_honesty
from benchmarks.load_process import Load, LoadError
from benchmarks.results import Results
from benchmarks.rounds import measure_all, turns
from benchmarks.sampling import Bench, Pace
from benchmarks.selection import Plan, SelectionError, left_out, select
from benchmarks.tables import busy_clients, goal_table, lost_to, ratio_table, work_table
from benchmarks.works import WORKS

FULL: Final = Pace(rounds=5, seconds=1.0, warm_up=0.3)
QUICK: Final = Pace(rounds=3, seconds=0.3, warm_up=0.1, budget=150)

# Connections, and what a process has open besides.
DESCRIPTORS: Final = 5000 + 200


def main(arguments: list[str]) -> int:
    """Measure, or show what was measured. Return the exit code."""
    options = _parser().parse_args(arguments)
    if options.list:
        _print_names()
        return 0
    try:
        results = _read(options.show) if options.show else _measure(options)
    except (SelectionError, LoadError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    _print_results(results)
    _write(results, options)
    return 1 if any(f.contender == OURS for f in results.failures) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks",
        description="Compare trioserver with others: CPU time, memory, latency.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="less of everything: under three minutes")
    add("--works", nargs="+", default=[], metavar="WORK", help="only these; see --list")
    add("--contenders", nargs="+", default=[], metavar="NAME", help="only these and us")
    add("--rounds", type=_positive(int), help="times that each of them has its turn")
    add("--seconds", type=_positive(float), help="how long each turn is measured")
    add("--minutes", type=_positive(float), help="after which no further turn begins")
    add(
        "--output",
        type=Path,
        default=Path(".benchmarks"),
        help="where JSON and plots go",
    )
    add(
        "--show",
        type=Path,
        metavar="JSON",
        help="show earlier results, measure nothing",
    )
    add("--docs", action="store_true", help="write the results into the documentation")
    add("--list", action="store_true", help="list works and contenders")
    return parser


class _positive:  # noqa: N801  # argparse names the type in its messages
    def __init__(self, number: type[int | float]) -> None:
        self.number = number

    def __call__(self, text: str) -> float:
        value = self.number(text)
        if value <= 0:
            message = f"{text} is not positive"
            raise argparse.ArgumentTypeError(message)
        return value


def _measure(options: argparse.Namespace) -> Results:
    plan = select(options.works, options.contenders, quick=options.quick)
    usual = QUICK if options.quick else FULL
    pace = Pace(
        rounds=options.rounds or usual.rounds,
        seconds=options.seconds or usual.seconds,
        warm_up=usual.warm_up,
        budget=options.minutes * 60 if options.minutes else usual.budget,
    )
    server_core, load_core = _cores()
    _allow_connections()
    results = Results(_about(plan, pace))
    for name in left_out():
        _show(f"{name} is left out: it is not installed")
    # What follows inherits it, but for the servers, which take the other one.
    os.sched_setaffinity(0, {load_core})
    with tempfile.TemporaryDirectory() as directory:
        load = Load.compile(Path(directory))
        check_honesty(load)
        bench = Bench(load, server_core, pace)
        todo = list(turns(plan, pace.rounds))
        try:
            measure_all(todo, results, bench, _show)
        except KeyboardInterrupt:
            _show("interrupted: what there is follows")
    done = len(results.samples) + len(results.failures)
    results.about["turns"] = f"{done} of {len(todo)}"
    return results


def _cores() -> tuple[int, int]:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        message = "two cores are needed: one for the server, one for its clients"
        raise SelectionError(message)
    return cores[0], cores[-1]


def _allow_connections() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < DESCRIPTORS:
        message = f"{DESCRIPTORS} open files are needed, and {most} allowed: ulimit -Hn"
        raise SelectionError(message)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _about(plan: Plan, pace: Pace) -> dict[str, str]:
    contenders = dict.fromkeys(name for names in plan.values() for name in names)
    return {
        **machine.describe(contenders),
        "rounds": str(pace.rounds),
        "seconds of each turn": f"{pace.seconds:g}, after {pace.warm_up:g} to warm up",
    }


def _show(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _read(file: Path) -> Results:
    try:
        return Results.from_json(file.read_text("utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{file} holds no results: {error}"
        raise SelectionError(message) from error


def _write(results: Results, options: argparse.Namespace) -> None:
    # Not before: matplotlib need not be there to measure, or to print.
    from benchmarks.plots import draw_all  # noqa: PLC0415

    options.output.mkdir(parents=True, exist_ok=True)
    file = options.output / "results.json"
    file.write_text(results.to_json() + "\n", "utf-8")
    pictures = draw_all(results, options.output)
    print(f"\nwritten: {file} and {len(pictures)} plots beside it")
    if options.docs:
        print(f"written: {docs_page.update(results, draw_all)}")


def _print_names() -> None:
    print("works:")
    for work in WORKS.values():
        print(f"  {work.name:24} {work.title}")
    print("contenders:")
    for contender in CONTENDERS.values():
        absent = "" if contender.is_installed else " (not installed)"
        print(f"  {contender.name:24} {contender.title}{absent}")


def _print_results(results: Results) -> None:
    for name, value in results.about.items():
        print(f"{name}: {value}")
    for work in results.works:
        print(f"\n{work}: {WORKS[work].title}\n")
        print(work_table(results, work).to_text())
    print("\nratios, medians of the rounds; below 1, we need less\n")
    print(ratio_table(results).to_text())
    if verdicts := judge(results):
        print("\ngoals\n")
        print(goal_table(verdicts).to_text())
    if busy := busy_clients(results):
        print("\nthe clients were busy, a rate may be theirs\n")
        print("\n".join(busy))
    print("\nwhat we lose at\n")
    print("\n".join(lost_to(results)) or "nothing")
    for failure in results.failures:
        print(f"\nfailed: {failure.work}, {failure.contender}: {failure.reason}")
