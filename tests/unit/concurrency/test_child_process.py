"""One child, and what can keep it from being reaped."""

from __future__ import annotations

import os

import pytest
import trio
import trio.testing

from trioserver._concurrency.child_process import REAP_PAUSE, ChildProcess, ExitStatus

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="no child processes here"
)

# How often a debugger has not yet looked at the child.
TRIES = 3


def test_a_child_that_has_ended_and_cannot_be_reaped_is_tried_again_after_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waitid = os.waitid
    seen: list[int] = []

    def wait_as_if_traced(kind: int, pid: int, options: int) -> object:
        if len(seen) < TRIES:
            seen.append(pid)
            return None
        return waitid(kind, pid, options)

    async def seconds_until_reaped() -> float:
        before = trio.current_time()
        await child.wait()
        return trio.current_time() - before

    async def run() -> float:
        child.start(lambda: os._exit(3))
        try:
            with monkeypatch.context() as patch:
                patch.setattr(os, "waitid", wait_as_if_traced)
                return await seconds_until_reaped()
        finally:
            await child.end(0)

    child = ChildProcess()
    seconds = trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))

    assert child.status == ExitStatus(3)
    assert seconds == pytest.approx(TRIES * REAP_PAUSE)
