"""Calls of the system that fail in a process that serves, one after the other."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol, TypeVar, cast

from soak.bench import Bench
from soak.verdicts import Figure, Outcome, exactly

ProgramT = TypeVar("ProgramT")


class Injection(Protocol):
    """One failure of one call."""

    is_for_good: bool
    """Whether the call fails from now on, so that the server has to end."""


class Faults(Protocol[ProgramT]):
    """What the tests have for this: `kit.injected_faults`."""

    STRACE: str | None
    INJECTIONS: Sequence[Injection]
    ENDS: str

    def server_process(self) -> AbstractAsyncContextManager[ProgramT]:
        """Run a server until the end of the block."""
        ...

    async def outcome_by_strace(
        self, program: ProgramT, injection: Injection, directory: Path
    ) -> str:
        """Return what the server does after a failure."""
        ...


async def check_system_faults(bench: Bench) -> Outcome:
    """Inject each of them by strace(1), where the tests know how, and there is one."""
    try:
        faults = cast("Faults[object]", importlib.import_module("kit.injected_faults"))
    except ModuleNotFoundError:
        return _nothing("the tests have no kit for this yet")
    if faults.STRACE is None:
        return _nothing("there is no strace here")
    injections = faults.INJECTIONS[:: min(10, max(1, round(0.3 / bench.length)))]
    counts: Counter[str] = Counter()
    notes: list[str] = []
    for number, injection in enumerate(injections):
        directory = bench.directory / f"injection-{number}"
        directory.mkdir()
        bench.show(f"{injection}")
        try:
            async with faults.server_process() as program:
                told = await faults.outcome_by_strace(program, injection, directory)
        except* (AssertionError, OSError) as group:
            told = repr(group.exceptions[0])
        is_right = (told == faults.ENDS) == injection.is_for_good
        counts["as they shall" if is_right else "wrong"] += 1
        if not is_right:
            notes.append(f"{injection}: {told}")
    return Outcome(
        "system-faults",
        f"{len(injections)} failures of calls",
        [
            exactly("wrong", counts["wrong"], 0),
            Figure("as they shall", counts["as they shall"], least=1),
        ],
        notes=notes,
    )


def _nothing(why: str) -> Outcome:
    return Outcome("system-faults", "nothing", [], notes=[why])
