"""What strace(1) injects into a real process ends as what the kit injects here.

Where there is no strace, or it may not trace, there is nothing to compare with: pytest
then says that it has skipped an empty set. It is a package of Debian's.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import pytest
import trio

from kit.injected_faults import (
    ENDS,
    INJECTIONS,
    Injection,
    outcome_by_strace,
    outcomes_in_process,
    server_process,
)
from kit.moments import SAMPLE
from kit.strace import CAN_TRACE

_in_process = cache(outcomes_in_process)

TRIED = INJECTIONS if SAMPLE is None else [INJECTIONS[0], *INJECTIONS[15::6]]


async def _in_a_process_of_its_own(injection: Injection, directory: Path) -> str:
    async with server_process() as program:
        return await outcome_by_strace(program, injection, directory)


@pytest.mark.proof
@pytest.mark.slow
@pytest.mark.parametrize("injection", TRIED if CAN_TRACE else [], ids=str)
def test_a_real_process_fares_the_same(injection: Injection, tmp_path: Path) -> None:
    told = trio.run(partial(_in_a_process_of_its_own, injection, tmp_path))

    assert told == _in_process(injection.operation)[injection.errno]
    assert (told == ENDS) == injection.is_for_good
