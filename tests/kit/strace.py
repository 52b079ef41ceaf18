"""Let the calls of another process fail, as the kernel would let them.

strace(1) puts an error in the place of a call. Traps: with ``close`` the call is not
made, so the descriptor stays open; and what Trio does for itself counts, so it attaches
to a server that serves already.
"""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio


def _can_trace() -> bool:
    """Whether strace is here, and may trace: some containers forbid it."""
    command = ["sh", "-c", "strace -o /dev/null true"]
    done = subprocess.run(command, check=False, capture_output=True)  # noqa: S603  # this
    return done.returncode == 0


CAN_TRACE: Final = _can_trace()


@attrs.frozen
class Strace:
    """What it has done so far."""

    log: Path

    @property
    def injections(self) -> int:
        """How many calls it has let fail."""
        return self.log.read_text().count("(INJECTED)")


@asynccontextmanager
async def injecting(
    pid: int, calls: Sequence[str], error: str, *, when: str, log: Path
) -> AsyncIterator[Strace]:
    """Let *calls* of the process *pid* fail with *error* while the block runs.

    Args:
        pid: The process.
        calls: Names of system calls.
        error: The name of an errno.
        when: Which of them: ``"2"`` is the second, ``"1+"`` all.
        log: A file that is not there yet.
    """
    names = ",".join(calls)
    command = ["strace", "-f", "-p", str(pid), "-o", str(log)]
    command += ["-e", f"trace={names}"]
    command += ["-e", f"inject={names}:error={error}:when={when}"]
    run = partial(trio.run_process, command, stderr=subprocess.PIPE, check=False)
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(run)
        assert process.stderr is not None
        async with process.stderr:
            said = b""
            while b"attached" not in said:
                data = await process.stderr.receive_some()
                assert data, said.decode()  # it may be forbidden to trace at all
                said += data
            yield Strace(log)
            process.terminate()
            await process.wait()
        nursery.cancel_scope.cancel()
