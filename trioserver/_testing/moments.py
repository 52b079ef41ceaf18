"""Which of the moments that a run has are tried."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import final

import attrs

from trioserver._testing.options import check_count, checked_only


def _check_sample(
    _choice: object, attribute: attrs.Attribute[int | None], value: int | None
) -> None:
    if value is not None:
        check_count(attribute.name, value)


@final
@attrs.frozen
class Choice:
    """Which of the moments are tried."""

    sample: int | None = attrs.field(validator=_check_sample)
    """How many, evenly spread; None: all."""
    only: tuple[int, ...] | None = attrs.field(converter=checked_only)
    """Just these."""

    def among(self, total: int) -> Iterable[int]:
        """Return their numbers, from 1.

        Args:
            total: How many moments there were at the last count. If all are tried, the
                numbers have no end, since the next run may have more of them.
        """
        if self.only is not None:
            return self.only
        if self.sample is None:
            return itertools.count(1)
        if total <= self.sample:
            return range(1, total + 1)
        if self.sample == 1:
            return [1]
        gaps = self.sample - 1
        return (1 + gap * (total - 1) // gaps for gap in range(self.sample))
