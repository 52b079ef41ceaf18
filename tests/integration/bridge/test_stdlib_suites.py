"""Python's own tests of its servers pass, with Trio driving the servers."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

import kit.stdlib_suites

DRIVER = kit.stdlib_suites.__file__

# Seconds. Nine tests of xmlrpc wait three each for a request that never comes.
PATIENCE = 300

NOT_INSTALLED = (
    "this Python came without its own tests, which are a package of their own with "
    "some distributions: apt-get install libpython3.11-testsuite, for example"
)


def run_part(directory: Path, module: str, part: int, parts: int) -> str:
    """Return what a part of the tests in *module* has said, if it was successful."""
    done = subprocess.run(  # noqa: S603  # our own driver
        [sys.executable, DRIVER, module, str(part), str(parts)],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "parts", "at_least"),
    [
        ("test.test_httpservers", 1, 30),
        ("test.test_xmlrpc", 4, 50),
        ("test.test_wsgiref", 1, 1),
    ],
)
async def test_pythons_own_tests_pass(
    module: str, parts: int, at_least: int, tmp_path: Path
) -> None:
    assert importlib.util.find_spec(module) is not None, NOT_INSTALLED
    outputs: list[str] = []

    async def run(part: int) -> None:
        run_it = partial(run_part, tmp_path, module, part, parts)
        outputs.append(await trio.to_thread.run_sync(run_it))

    async with trio.open_nursery() as nursery:
        for part in range(1, parts + 1):
            nursery.start_soon(run, part)

    driven = re.findall(r"^runs of Trio: (\d+)$", "".join(outputs), re.MULTILINE)
    assert sum(map(int, driven)) >= at_least
