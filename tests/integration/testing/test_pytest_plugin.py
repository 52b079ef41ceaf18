"""The plugin brings its fixtures, and does nothing to a test that asks for none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = """
pytest_plugins = ["trioserver.testing.pytest_plugin"]
"""

LOSING = """
import os

import trio
from trioserver import StreamRequestHandler, TCPServer
from trioserver.testing import connect, running


def test_loses(no_leaks):
    os.dup(0)


def test_keeps(no_leaks):
    os.close(os.dup(0))


def test_does_not_ask():
    os.dup(0)


class Greeter(StreamRequestHandler):
    async def handle(self):
        await self.wfile.write(b"hello")


def test_serves_in_memory(memory_network, no_leaks):
    async def main():
        server = TCPServer(("127.0.0.1", 0), Greeter)
        async with running(server, network=memory_network):
            async with await connect(server) as client:
                await client.expect(b"hello")

    trio.run(main)
"""


@pytest.fixture
def outcome(tmp_path: Path) -> str:
    """What pytest says about a project of others, in a process of its own."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_losing.py").write_text(LOSING)
    done = subprocess.run(  # our own
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"],
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
    assert "test_losing.py::test_does_not_ask PASSED" in outcome
    assert "test_losing.py::test_serves_in_memory PASSED" in outcome
    assert "4 passed, 1 error" in outcome
