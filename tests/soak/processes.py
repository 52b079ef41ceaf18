"""The programs that take part, each in a process of its own, from where they are led.

They are asked by lines of JSON on their standard input, and answer on their standard
output.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypeAlias

import attrs
import trio

# What can be written as JSON here: numbers, texts, and lists of them.
Value: TypeAlias = "float | str | bool | list[Value] | dict[str, Value] | None"

# Seconds after which a program that does not answer is given up.
PATIENCE: Final = 900.0


def _home_of(package: str) -> Path:
    """Return where a package is found. To import it takes time, in each process."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parents[1]


# Where this package is found, and the library as it is here.
_PATHS: Final = (str(Path(__file__).parents[1]), str(_home_of("trioserver")))

# Characters of what a program has said last, in an error about it.
_TAIL: Final = 2000


class SoakError(Exception):
    """A check could not be made."""


@attrs.define
class Agent:
    """A program that does what it is asked to."""

    process: trio.Process
    log: Path
    """What it writes to standard error."""

    _answers: bytearray = attrs.field(factory=bytearray)
    _lock: trio.Lock = attrs.field(factory=trio.Lock)

    @property
    def pid(self) -> int:
        """The process."""
        return self.process.pid

    async def ask(self, command: str, **options: Value) -> dict[str, Value]:
        """Let it do something, and return what comes of it.

        Raises:
            SoakError: If it cannot, or is gone.
        """
        assert self.process.stdin is not None
        request = {"command": command, "options": options}
        line = b""
        async with self._lock:
            with trio.move_on_after(PATIENCE) as scope:
                try:
                    await self.process.stdin.send_all(
                        json.dumps(request).encode() + b"\n"
                    )
                    line = await self._receive_line()
                except trio.BrokenResourceError:
                    pass
        if not line:
            what = "has not answered" if scope.cancelled_caught else "is gone"
            raise self._failure(command, what)
        answer: dict[str, dict[str, Value]] = json.loads(line)
        if "error" in answer:
            raise self._failure(command, f"could not: {answer['error']}")
        return answer["result"]

    async def number(self, command: str, **options: Value) -> float:
        """Ask for something that is one number."""
        value = (await self.ask(command, **options))["value"]
        assert isinstance(value, int | float)
        return value

    async def _receive_line(self) -> bytes:
        assert self.process.stdout is not None
        while b"\n" not in self._answers:
            data = await self.process.stdout.receive_some()
            if not data:
                return b""
            self._answers += data
        line, _, rest = bytes(self._answers).partition(b"\n")
        self._answers[:] = rest
        return line

    def _failure(self, command: str, what: str) -> SoakError:
        said = self.log.read_text("utf-8", "backslashreplace")[-_TAIL:]
        return SoakError(f"the process, asked to {command}, {what}\n{said}")


@asynccontextmanager
async def running(module: str, log: Path) -> AsyncIterator[Agent]:
    """Run ``python -m module`` until the end of the block."""
    with log.open("wb") as stderr:
        run = partial(
            trio.run_process,
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            check=False,
            env=environment(),
        )
        async with trio.open_nursery() as nursery:
            process: trio.Process = await nursery.start(run)
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                async with process.stdin, process.stdout:
                    yield Agent(process, log)
            finally:
                process.kill()


def environment() -> dict[str, str]:
    """Return this environment, in which this package and the library are found.

    Without coverage's measuring of child processes: it takes memory for each line that
    runs, which is what some checks look for.
    """
    unmeasured = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("COVERAGE_PROCESS_")
    }
    paths = filter(None, (*_PATHS, os.environ.get("PYTHONPATH")))
    return unmeasured | {"PYTHONPATH": os.pathsep.join(paths)}
