"""Which of the moments that a run has are tried."""

from __future__ import annotations

import itertools
from collections.abc import Iterable


def moments(
    total: int, sample: int | None, only: int | Iterable[int] | None
) -> Iterable[int]:
    """Return the numbers of the moments to try, from 1.

    Args:
        total: How many there were at the last count.
        sample: How many to try, evenly spread. None: all, without an end, since the
            next run may have more of them.
        only: Just these.
    """
    if only is not None:
        return [only] if isinstance(only, int) else only
    if sample is None:
        return itertools.count(1)
    if total <= sample:
        return range(1, total + 1)
    if sample == 1:
        return [1]
    return (1 + moment * (total - 1) // (sample - 1) for moment in range(sample))
