"""How much of what could be tried a test tries: a sample, or everything.

To try all takes a minute for some tests, and all of them together more than everybody
should wait for who changes a line. So the ordinary suite takes a sample of all moments,
evenly spread and always the same, and some examples; ``nox -s proof`` takes every
moment, and many examples. These tests have the mark ``proof``.
"""

from __future__ import annotations

import os
from typing import Final

from hypothesis import settings

# Set for all that a run of the tests starts.
_EVERYTHING: Final = "TRIOSERVER_TEST_EVERYTHING" in os.environ

SAMPLE: Final = None if _EVERYTHING else 12
"""How many moments to try, for `cancel_everywhere`. None: all of them."""

EXAMPLES: Final = 2000 if _EVERYTHING else 100
"""How many examples Hypothesis makes up for a test."""


def choose_examples() -> None:
    """Let Hypothesis make up the same ones in each run, but where it tries many."""
    settings.register_profile("chosen", derandomize=not _EVERYTHING)
    settings.load_profile("chosen")


def sample_of(cost: int) -> int | None:
    """Return how many moments to try of a case, for each kind of trouble.

    Args:
        cost: How many times as long as others a run of it takes.
    """
    return None if _EVERYTHING else max(1, 3 // cost)
