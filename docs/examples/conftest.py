"""The leak check of the test suite, for the tests of the examples too."""

from __future__ import annotations

import pytest

import _trioserver_pytest

# pytest finds it by itself in what is installed, but not in a checkout.
no_leaks = _trioserver_pytest.no_leaks


@pytest.fixture(autouse=True)
def leave_nothing(no_leaks: None) -> None:
    """Fail the test that leaves a descriptor, a thread or a child process behind."""
