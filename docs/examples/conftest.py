"""The leak check of the test suite, for the tests of the examples too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kit.leaks import Snapshot


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Fail the test that leaves a descriptor, a thread or a child process behind."""
    before = Snapshot.take()
    yield
    assert Snapshot.take().left_behind(before) == []  # noqa: S101  # a test's check
