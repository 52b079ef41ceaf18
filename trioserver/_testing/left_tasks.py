"""Find the tasks that a run leaves, while it still has them.

Trio cancels them in its end, and after that there is nothing to be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import trio

from trioserver._testing.await_frames import describe_task
from trioserver._testing.origins import is_kits, is_trios
from trioserver._testing.task_tree import all_tasks

# The functions that Trio starts on behalf of others: for `trio.from_thread.run`, for a
# process, for a `trio.DTLSEndpoint`, for an asynchronous generator.
_TRIOS: Final = frozenset(
    {"run_system", "_waitid_system_task", "dtls_receive_loop", "_finalize_one"}
)


@contextmanager
def tasks_left(note: Callable[[str], object]) -> Generator[None]:
    """Tell *note* of each task that is there after the block, and was not before.

    However the block ends. Those of the test kit, and of Trio itself, do not count.
    """
    before = frozenset(all_tasks())
    try:
        yield
    finally:
        left = [task for task in all_tasks() if task not in before]
        for place in sorted(describe_task(task) for task in left if _counts(task)):
            note(f"left behind: task {place}")


def _counts(task: trio.lowlevel.Task) -> bool:
    code = task.coro.cr_code
    return not (is_kits(code) or (is_trios(code) and code.co_name in _TRIOS))
