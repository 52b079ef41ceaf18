"""The fixtures of `trioserver.testing`, for projects that ask for them.

The topmost ``conftest.py`` asks, with
``pytest_plugins = ["trioserver.testing.pytest_plugin"]``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from trioserver._testing.leaks import find_leaks
from trioserver._testing.memory_network import MemoryNetwork


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Fail the test that leaves a descriptor, a thread or a child process behind."""
    with find_leaks():
        yield


@pytest.fixture
def memory_network() -> MemoryNetwork:
    """Return a network in memory, for this test alone."""
    return MemoryNetwork()
