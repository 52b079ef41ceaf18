"""The leak check of the test suite, for the tests of the examples too."""

from __future__ import annotations

import pytest

from trioserver.testing.pytest_plugin import no_leaks

__all__ = [
    "leave_nothing",
    "no_leaks",
]  # not the topmost one, which alone may name plugins


@pytest.fixture(autouse=True)
def leave_nothing(no_leaks: None) -> None:
    """Fail the test that leaves a descriptor, a thread or a child process behind."""
