"""The clients: load.c, compiled and run."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol, TypedDict

import attrs

SOURCE: Final = Path(__file__).with_name("load.c")


class LoadError(Exception):
    """The clients could not do their work, or have got a wrong reply."""


class Server(Protocol):
    """Where the clients connect to, and whose CPU time they read."""

    @property
    def port(self) -> int: ...

    @property
    def pid(self) -> int: ...


class Report(TypedDict):
    """What the clients have counted."""

    requests: int
    seconds: float
    server_cpu: float
    load_cpu: float
    late: int
    resent: int
    reset: int
    latency_us: dict[str, float]


class Ends(TypedDict):
    """How connections were ended."""

    ended: int
    reset: int


@attrs.frozen
class Load:
    """The program."""

    program: Path

    @classmethod
    def compile(cls, directory: Path) -> Load:
        """Compile it, with the system's compiler."""
        compiler = shutil.which("cc")
        if compiler is None:
            message = "there is no C compiler, which the clients need: install cc"
            raise LoadError(message)
        program = directory / "load"
        subprocess.run([compiler, "-O2", "-o", program, SOURCE], check=True)
        return cls(program)

    def run(self, work: str, server: Server, **options: float) -> Report:
        """Let the clients work, and return what they have counted."""
        done = subprocess.run(
            self._command(work, server, options),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise LoadError(done.stderr.strip() or f"exit code {done.returncode}")
        report: Report = json.loads(done.stdout)
        return report

    @contextmanager
    def hold(self, server: Server, connections: int) -> Iterator[HeldConnections]:
        """Open connections, and keep them until the end of the block."""
        with subprocess.Popen(
            self._command("hold", server, {"connections": connections}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield HeldConnections(process)
            finally:
                process.kill()

    def _command(
        self, work: str, server: Server, options: dict[str, float]
    ) -> list[str]:
        everything = {"port": server.port, "pid": server.pid, **options}
        named = [f"{name}={value}" for name, value in everything.items()]
        return [str(self.program), work, *named]


@attrs.frozen
class HeldConnections:
    """Clients that do nothing any more."""

    process: subprocess.Popen[str]

    def open(self, count: int) -> None:
        """Open more of them, until there are *count*; each asks one line."""
        self._ask(f"open {count}")

    def ends(self) -> Ends:
        """Wait until the server has ended all of them."""
        ends: Ends = json.loads(self._ask("ends"))
        return ends

    def _ask(self, command: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            assert self.process.stderr is not None
            raise LoadError(self.process.stderr.read().strip())
        return answer
