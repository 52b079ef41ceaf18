"""The command line of the soak."""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Final

import attrs
import trio

from soak.bench import Bench
from soak.processes import SoakError
from soak.table_of_checks import CHECKS, Check
from soak.verdicts import Figure, Outcome, Report

_DESCRIPTION: Final = """\
Put the server under load and abuse, on this machine alone, and look whether it keeps
its promises. Each check prints a line with its figures beside their bounds.
"""

_EPILOG: Final = """\
exit code:
  0  every promise was kept
  1  one was broken, or could not be tried
  2  the command line was wrong
"""


def main(arguments: list[str]) -> int:
    """Make the checks that *arguments* ask for. Return the exit code."""
    options = _parser().parse_args(arguments)
    if options.list:
        for check in CHECKS.values():
            print(f"{check.name:24} {check.title}")
        return 0
    try:
        checks = _selected(options.only)
        report = Report(_about(options.length), _make(checks, options.length))
    except SoakError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 2
    print("\n" + report.to_table())
    if options.output is not None:
        options.output.write_text(report.to_json() + "\n", "utf-8")
    return 0 if report.is_kept else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="soak",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--length",
        type=_positive,
        default=1.0,
        metavar="FACTOR",
        help="how much of everything: 1, the default, takes some minutes; 0.1 a tenth",
    )
    add("--only", nargs="+", default=[], metavar="NAME", help="only these checks")
    add("--output", type=Path, metavar="FILE", help="write the figures there, as JSON")
    add("--list", action="store_true", help="list the checks")
    return parser


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value <= 100:
        message = f"{text!r} is no number between 0 and 100"
        raise argparse.ArgumentTypeError(message)
    return value


def _selected(names: list[str]) -> list[Check]:
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        message = f"there is no check {', '.join(unknown)}; --list shows what there is"
        raise SoakError(message)
    return [check for check in CHECKS.values() if not names or check.name in names]


def _make(checks: list[Check], length: float) -> list[Outcome]:
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as directory:
        for check in checks:
            _show(f"{check.name}: {check.title}")
            outcome = trio.run(make, check, Bench(length, Path(directory), _show))
            print(outcome.to_text(), flush=True)
            for note in outcome.notes:
                print(f"  {note}", flush=True)
            outcomes.append(outcome)
    return outcomes


async def make(check: Check, bench: Bench) -> Outcome:
    """Make one check. What goes wrong in it is a broken promise, and said."""
    began = time.monotonic()
    try:
        outcome = await check.run(bench)
    except* Exception as group:
        reason = "; ".join(str(error) for error in _leaves(group))
        outcome = Outcome(check.name, "failed", [Figure("errors", 1, most=0)])
        outcome.notes.append(reason)
    return attrs.evolve(outcome, check=check.name, seconds=time.monotonic() - began)


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in _leaves(part)]
    return [error]


def _about(length: float) -> dict[str, str]:
    return {
        "length": f"{length:g}",
        "python": platform.python_version(),
        "trio": version("trio"),
        "system": platform.platform(),
    }


def _show(line: str) -> None:
    print(f"... {line}", file=sys.stderr, flush=True)
