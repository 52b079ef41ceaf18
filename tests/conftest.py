"""Fixtures for all tests; above all, the one that finds what a test has leaked."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from kit.ctrl_c import enable_ctrl_c
from kit.moments import choose_examples
from kit.points import summary

pytest_plugins = ["trioserver.testing.pytest_plugin"]


@pytest.fixture
def short_collections() -> Iterator[None]:
    """Let the next tests not look through what this one leaves to pytest."""
    yield
    gc.freeze()


@pytest.fixture(autouse=True)
def leave_nothing(short_collections: None, no_leaks: None) -> None:
    """Fail every test that leaves something behind, and freeze what is left then."""


def pytest_configure() -> None:
    """Let the tests press Ctrl-C, and try the same in each run."""
    enable_ctrl_c()
    choose_examples()


def pytest_collection_finish() -> None:
    """Let each test collect only what the tests have made: ten times faster."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many injection points were tried."""
    reports = [
        report
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
    ]
    for line in summary(reports):
        terminalreporter.line(line)
