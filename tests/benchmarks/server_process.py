"""A server that is measured, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

from benchmarks.contenders import Contender

# Seconds after which a server that does not stop is killed.
PATIENCE: Final = 60.0

# Where `benchmarks` is found.
PATH: Final = str(Path(__file__).parents[1])


class ServerError(Exception):
    """A server has not done what it should."""


@attrs.frozen
class ServerProcess:
    """A process that serves."""

    process: subprocess.Popen[str]
    port: int

    @property
    def pid(self) -> int:
        """The process."""
        return self.process.pid

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its threads, those that have ended included.

        It is what clock_getcpuclockid(3) names, which Python does not have: it counts
        nanoseconds, where /proc/PID/stat counts ticks of ten milliseconds.
        """
        return time.clock_gettime((~self.pid << 3) | 2)

    def memory_bytes(self) -> int:
        """Return its memory; of what it shares with other processes, its part."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text("ascii")
        return int(rollup.partition("\nPss:")[2].split()[0]) * 1024

    def stop(self) -> tuple[float, float]:
        """Stop it with SIGTERM. Return the seconds, and the CPU seconds, it took."""
        cpu, begin = self.cpu_seconds(), time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        killer = threading.Timer(PATIENCE, os.kill, (self.pid, signal.SIGKILL))
        killer.start()
        _, status, usage = os.wait4(self.pid, 0)
        end = time.monotonic()
        killer.cancel()
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode == -signal.SIGKILL:
            message = f"has not stopped within {PATIENCE:g} s"
            raise ServerError(message)
        return end - begin, usage.ru_utime + usage.ru_stime - cpu


@contextmanager
def running(contender: Contender, service: str, core: int) -> Iterator[ServerProcess]:
    """Run a server until the end of the block."""
    path = os.pathsep.join(filter(None, (PATH, os.environ.get("PYTHONPATH"))))
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.serve", contender.name, service, str(core)],
        stdout=subprocess.PIPE,
        # What a server says when its clients leave is of no interest.
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        try:
            assert process.stdout is not None
            announcement = process.stdout.readline()
            if not announcement:
                message = "has not come up; run it by hand: " + " ".join(
                    map(str, process.args[1:] if isinstance(process.args, list) else ())
                )
                raise ServerError(message)
            yield ServerProcess(process, int(announcement))
        finally:
            if process.returncode is None:
                process.kill()
