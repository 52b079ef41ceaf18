"""A second of what `nox -s soak` does for minutes, so that it can be relied on."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio

from kit.serving import STUCK
from soak.bench import Bench
from soak.command_line import make
from soak.table_of_checks import CHECKS
from soak.verdicts import Outcome

# Of the usual length.
LENGTH = 0.001


@pytest.mark.one_layer
@pytest.mark.slow
async def test_every_check_finds_its_promises_kept(tmp_path: Path) -> None:
    """All at the same time: most of them wait for most of the time."""
    outcomes: list[Outcome] = []

    async def one(name: str) -> None:
        directory = tmp_path / name
        directory.mkdir()
        bench = Bench(LENGTH, directory, lambda _line: None)
        outcomes.append(await make(CHECKS[name], bench))

    with trio.fail_after(STUCK * 6):
        async with trio.open_nursery() as nursery:
            for name in CHECKS:
                nursery.start_soon(partial(one, name))

    broken = [[o.to_text(), *o.notes] for o in outcomes if not o.is_kept]
    assert broken == []
    assert len(outcomes) == len(CHECKS)
