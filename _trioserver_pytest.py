"""The fixtures of `trioserver.testing` for pytest, which finds them by itself.

pytest imports this at its start in every project of an environment that has trioserver
installed, whether it is used there or not. So this stands beside the package, and the
package, which takes longer to import than pytest itself, is imported by the fixtures.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Fail the test that leaves a descriptor, a thread or a child process behind."""
    from trioserver.testing import find_leaks  # noqa: PLC0415  # see above

    with find_leaks():
        yield
