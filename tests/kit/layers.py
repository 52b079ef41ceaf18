"""The two layers that connections wait by, and which tests are run over both of them.

A server's connections wait in an epoll of its own, or as Trio does. Nothing but the
cost may differ, so the tests of servers run over each of the two: what imports the two
names below into its ``conftest.py`` is run so, but for the files of `ONE_LAYER`, and
for single tests with a mark of that name.
"""

from __future__ import annotations

import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest

from trioserver import TCPServer

__all__ = ["layer", "pytest_generate_tests"]

LAYERS: Final = {"edges": True, "portable": False}
"""What `TCPServer.edge_triggered` is in each of them."""

TESTS: Final = Path(__file__).parents[1]

ONE_LAYER: Final = {
    "integration/bridge/*.py": "an object of socketserver's has sockets of its own",
    "integration/test_cli_addresses.py": "addresses",
    "integration/test_memory*.py": "sockets in memory have no descriptor to watch",
    "integration/test_lesser_systems.py": "imports",
    "integration/test_stdlib_suite_threads.py": "threads wait by themselves",
    "integration/test_threading*.py": "likewise",
    "integration/test_unix_mode.py": "files",
    "integration/test_unix_paths.py": "files",
    "integration/test_unix_processes.py": "files",
    "integration/*_datagrams.py": "datagrams",
    "integration/test_*udp*.py": "datagrams",
    "parity/test_construction.py": "nothing is served",
    "parity/test_datagrams.py": "datagrams",
    "parity/test_interface.py": "nothing is served",
    "parity/test_threads.py": "threads wait by themselves",
}
"""Files whose tests no layer can make a difference to, with the reason."""


def runs_over_both(test: pytest.Item) -> bool:
    """Whether *test* runs over both layers."""
    name = test.path.relative_to(TESTS).as_posix()
    return not (
        any(fnmatch(name, pattern) for pattern in ONE_LAYER)
        or test.get_closest_marker("one_layer")
    )


@pytest.fixture(autouse=True)
def layer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let servers have the layer of this name, those in forked children too."""
    name: str = getattr(request, "param", "edges")
    monkeypatch.setattr(TCPServer, "edge_triggered", LAYERS[name])
    return name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test over both layers, unless none of them matters to it."""
    if runs_over_both(metafunc.definition):
        metafunc.parametrize("layer", LAYERS, indirect=True)


# Does what ``python -m`` does, but with the other layer.
_PORTABLE_MODULE: Final = """
import runpy, sys, trioserver

trioserver.TCPServer.edge_triggered = False
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def run_module(name: str) -> list[str]:
    """Return the command that runs a module, with the layer of the running test."""
    how = ["-m"] if TCPServer.edge_triggered else ["-c", _PORTABLE_MODULE]
    return [sys.executable, *how, name]
