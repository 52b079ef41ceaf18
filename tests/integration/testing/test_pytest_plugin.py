"""pytest finds the fixtures by itself, and does nothing that nobody asks for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOSING = """
import os
import sys

IMPORTED = "trioserver" in sys.modules or "trio" in sys.modules


def test_loses(no_leaks):
    os.dup(0)


def test_keeps(no_leaks):
    os.close(os.dup(0))


def test_does_not_ask():
    assert not IMPORTED
    os.dup(0)
"""


@pytest.fixture
def outcome(tmp_path: Path) -> str:
    """What pytest says about a project of others, in a process of its own."""
    (tmp_path / "test_losing.py").write_text(LOSING)
    command = [sys.executable, "-m", "pytest", "-v", "-p", "_trioserver_pytest"]
    done = subprocess.run(  # noqa: S603  # our own
        [*command, "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_fails_the_test_that_leaves_something_and_no_other(outcome: str) -> None:
    assert "test_losing.py::test_loses ERROR" in outcome
    assert "LeakError: left behind:" in outcome
    assert "test_losing.py::test_keeps PASSED" in outcome
    assert "3 passed, 1 error" in outcome


def test_imports_nothing_before_a_test_asks_for_it(outcome: str) -> None:
    assert "test_losing.py::test_does_not_ask PASSED" in outcome
