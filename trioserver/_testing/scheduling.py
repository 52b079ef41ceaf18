"""Let Trio run its tasks in the same order in each run."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from contextlib import contextmanager
from random import Random
from typing import Final

# What pytest-trio sets for Hypothesis, too: with it, Trio orders the tasks that are
# ready by their age, and shuffles them with this generator.
_SWITCH: Final = "_ALLOW_DETERMINISTIC_SCHEDULING"
_GENERATOR: Final = "_r"


@contextmanager
def deterministic_scheduling(seed: int) -> Generator[None]:
    """Let runs in the block schedule as *seed* decides, and always the same."""
    scheduler = vars(importlib.import_module("trio._core._run"))
    generator: Random = scheduler[_GENERATOR]
    state, switch = generator.getstate(), scheduler[_SWITCH]
    scheduler[_SWITCH] = True
    generator.seed(seed)
    try:
        yield
    finally:
        scheduler[_SWITCH] = switch
        generator.setstate(state)
