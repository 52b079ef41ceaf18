"""Fuzz some targets: `python -m soak.fuzz.by_hypothesis EXAMPLES TARGET ...`."""

from __future__ import annotations

import logging
import sys

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soak.fuzz.targets import TARGETS, WORDS
from soak.probes import resident_bytes

PIECES = st.binary(max_size=40) | st.sampled_from(WORDS)
INPUTS = st.lists(PIECES, max_size=12).map(b"".join) | st.binary(max_size=3000)


def main(examples: str, *names: str) -> None:
    """Fuzz; print for each how many inputs there were, and the memory at the end."""
    logging.getLogger().addHandler(logging.NullHandler())
    for name in names:
        print(name, fuzz_one(name, int(examples)), resident_bytes(), flush=True)


def fuzz_one(name: str, examples: int) -> int:
    """Return how many inputs there were."""
    inputs = 0

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(INPUTS)
    def fuzz(data: bytes) -> None:
        nonlocal inputs
        inputs += 1
        TARGETS[name](data)

    fuzz()
    return inputs


if __name__ == "__main__":
    main(*sys.argv[1:])
