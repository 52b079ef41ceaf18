"""Calls of the system that fail in a process that serves, one after the other."""

from __future__ import annotations

from kit.injected_faults import (
    ENDS,
    INJECTIONS,
    Injection,
    outcome_by_strace,
    server_process,
)
from kit.strace import CAN_TRACE
from soak.bench import Bench
from soak.verdicts import Figure, Outcome, exactly


async def check_system_faults(bench: Bench) -> Outcome:
    """Inject each of them by strace(1), if there is one."""
    if not CAN_TRACE:
        why = "there is no strace here that may trace"
        return Outcome("system-faults", "nothing", [], notes=[why])
    injections = INJECTIONS[:: min(20, max(1, round(0.3 / bench.length)))]
    wrong: list[str] = []
    for injection in injections:
        bench.show(str(injection))
        told = await _told(bench, injection)
        if (told == ENDS) != injection.is_for_good:
            wrong.append(f"{injection}: {told}")
    return Outcome(
        "system-faults",
        f"{len(injections)} failures of calls",
        [
            Figure("tried", len(injections), least=1),
            exactly("survived or ended wrongly", len(wrong), 0),
        ],
        notes=wrong,
    )


async def _told(bench: Bench, injection: Injection) -> str:
    """Return what a server does after a failure, or what went wrong."""
    told = ""
    try:
        async with server_process() as program:
            told = await outcome_by_strace(program, injection, bench.directory)
    except* (AssertionError, OSError) as group:
        told = repr(group)
    return told
