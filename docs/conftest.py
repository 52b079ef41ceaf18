"""Run every Python block of the documentation, each page in its own namespace."""

from __future__ import annotations

from sybil import Sybil

from kit.ctrl_c import enable_ctrl_c
from kit.doc_blocks import BlockEvaluator, close_servers, python_blocks

# What Sphinx has made is no source.
collect_ignore = ["_build"]

pytest_collect_file = Sybil(
    parsers=[python_blocks(BlockEvaluator())],
    patterns=["*.md"],
    teardown=close_servers,
).pytest()


def pytest_configure() -> None:
    """Let the tests of the examples press Ctrl-C."""
    enable_ctrl_c()
