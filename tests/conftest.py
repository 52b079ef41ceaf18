"""Fixtures for all tests; above all, the one that finds what a test has leaked."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from kit.ctrl_c import enable_ctrl_c
from kit.leaks import Snapshot


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Fail the test that leaves a descriptor, a thread or a child process behind."""
    before = Snapshot.take()
    yield
    assert Snapshot.take().left_behind(before) == []
    # What outlives a test is pytest's: the next ones need not look through it.
    gc.freeze()


def pytest_configure() -> None:
    """Let the tests press Ctrl-C."""
    enable_ctrl_c()


def pytest_collection_finish() -> None:
    """Let each test collect only what the tests have made: ten times faster."""
    gc.collect()
    gc.freeze()
