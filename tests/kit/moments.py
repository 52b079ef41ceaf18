"""How much of what could be tried a test tries: a sample, or everything.

To try all takes a minute for some tests, and all of them together more than everybody
should wait for who changes a line. So the ordinary suite takes a sample of all moments,
evenly spread and always the same, and some examples; ``nox -s proof`` takes every
moment, and many examples. These tests have the mark ``proof``.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from typing import Final

# Set for all that a run of the tests starts.
_EVERYTHING: Final = "TRIOSERVER_TEST_EVERYTHING" in os.environ

SAMPLE: Final = 12

EXAMPLES: Final = 2000 if _EVERYTHING else 100
"""How many examples Hypothesis makes up for a test."""


def moments(total: int, *, every: bool = False) -> Iterable[int]:
    """Return the numbers of the moments to try, from 1, of *total* at the last count.

    If *every* one is to be tried, here or in all tests, there is no end, since the next
    run may have more: stop when a moment does not come any more.
    """
    if every or _EVERYTHING:
        return itertools.count(1)
    if total <= SAMPLE:
        return range(1, total + 1)
    return (1 + moment * (total - 1) // (SAMPLE - 1) for moment in range(SAMPLE))


FAULTS: Final = None if _EVERYTHING else SAMPLE
"""How many failures of system calls a test tries; None: all."""
