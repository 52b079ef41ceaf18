"""Made-up input for whatever parses: clear errors, and no others."""

from __future__ import annotations

import sys
from typing import Final

import trio

from soak.bench import Bench
from soak.fuzz.targets import TARGETS
from soak.probes import MIB
from soak.processes import environment
from soak.verdicts import Figure, Outcome, exactly

NAMES: Final = [[name] for name in TARGETS]

# Examples of each target, and seconds of atheris for each.
EXAMPLES: Final = 5000
SECONDS: Final = 10.0

# MiB that a fuzzing process may use: Hypothesis keeps much of what it has tried.
MOST_MEMORY: Final = 500.0


async def check_fuzzed_parsers(bench: Bench) -> Outcome:
    """Let Hypothesis, and atheris where it is installed, make up input."""
    examples = bench.scaled(EXAMPLES, least=20)
    seconds = bench.scaled(round(SECONDS), least=1)
    figures: list[Figure] = []
    notes: list[str] = []
    bench.show("by Hypothesis")
    figures += await _run("hypothesis", str(examples), list(TARGETS), notes)
    if not await _has_atheris():
        notes.append("atheris is not installed: pip install atheris, and again")
        return Outcome(
            "fuzzed-parsers", f"{examples} examples each", figures, notes=notes
        )
    for name in TARGETS:
        bench.show(f"{name}, by atheris")
        figures += await _run("atheris", str(seconds), [name], notes)
    work = f"{examples} examples and {seconds} s of atheris each"
    return Outcome("fuzzed-parsers", work, figures, notes=notes)


async def _run(
    driver: str, size: str, names: list[str], notes: list[str]
) -> list[Figure]:
    done = await trio.run_process(
        [sys.executable, "-m", f"soak.fuzz.by_{driver}", size, *names],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        env=environment(),
    )
    if done.returncode:
        said = (done.stdout + done.stderr).decode("utf-8", "backslashreplace")
        notes.append(f"by {driver}: {said[-3000:]}")
    # Of one target, the last line counts. libFuzzer has lines of its own.
    lines = map(str.split, done.stdout.decode("utf-8", "replace").splitlines())
    found = {
        line[0]: (int(line[1]), int(line[2])) for line in lines if line[:1] in NAMES
    }
    figures = [
        Figure(f"{name}, by {driver}: inputs", found.get(name, (0, 0))[0], least=1)
        for name in names
    ]
    memory = max((memory for _, memory in found.values()), default=0)
    return [
        *figures,
        exactly("errors", done.returncode, 0),
        Figure("memory", memory / MIB, "MiB", most=MOST_MEMORY),
    ]


async def _has_atheris() -> bool:
    done = await trio.run_process(
        [sys.executable, "-c", "import atheris"],
        capture_stderr=True,
        check=False,
    )
    return done.returncode == 0
