"""What a block leaves behind is found, and told in words."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from trioserver._testing import leaks
from trioserver._testing.leaks import open_descriptors
from trioserver.testing import LeakError, Snapshot, find_leaks

# Seconds. Nobody waits for so long.
LONG = 100


def test_nothing_is_left_by_a_block_that_does_nothing() -> None:
    with find_leaks():
        pass


def test_what_is_left_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(LeakError) as caught:
        with find_leaks(paths=[tmp_path]):
            sock = socket.create_server(("127.0.0.1", 0))
            (tmp_path / "file").touch()
    sock.close()

    left = str(caught.value)
    assert left.startswith("left behind:\n- descriptor ")
    assert re.search(r"socket:\[\d+\] at \('127.0.0.1', \d+\)\n", left)
    assert left.endswith(f"\n- file {tmp_path / 'file'}")


def test_a_thread_that_is_about_to_end_is_waited_for() -> None:
    end = threading.Event()
    with find_leaks(patience=LONG):
        threading.Timer(0.01, end.set).start()
        threading.Thread(target=end.wait).start()


def test_what_a_thread_closes_while_we_look_is_no_leak(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    end = threading.Event()

    def work() -> None:
        with socket.socket():
            begun.set()
            end.wait()

    def look_and_let_it_end() -> dict[int, str]:
        found = open_descriptors()
        end.set()
        thread.join()
        return found

    begun, thread = threading.Event(), threading.Thread(target=work)
    with find_leaks(patience=LONG):
        thread.start()
        begun.wait()
        monkeypatch.setattr(leaks, "open_descriptors", look_and_let_it_end)


def test_a_thread_that_goes_on_is_named() -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="a lost thread")

    with pytest.raises(LeakError, match="thread a lost thread"):
        with find_leaks(patience=0):
            thread.start()
    end.set()
    thread.join()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:  # noqa: S607
        yield child


def test_a_child_is_named_as_long_as_it_is_there(
    child: subprocess.Popen[bytes],
) -> None:
    now = Snapshot.take()
    before = Snapshot({}, now.threads, frozenset(), now.tasks, now.files)

    alive = now.left_behind(before)
    assert child.stdin is not None
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    dead = now.left_behind(before)
    child.wait()
    gone = now.left_behind(before)

    assert f"child {child.pid} (cat)" in alive
    assert f"child {child.pid} (cat, a zombie)" in dead
    assert f"child {child.pid}, which has ended meanwhile" in gone


async def test_inside_of_a_run_a_task_is_named() -> None:
    async with trio.open_nursery() as nursery:
        with pytest.raises(LeakError, match=r"^left behind:\n- task .*sleep_forever"):
            with find_leaks():
                nursery.start_soon(trio.sleep_forever)
                await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


def test_an_error_in_the_block_surfaces_as_itself() -> None:
    with pytest.raises(LookupError):
        with find_leaks():
            lost = os.dup(0)
            raise LookupError
    os.close(lost)


def test_a_system_without_proc_shows_neither_descriptors_nor_children(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("trioserver._testing.leaks._PROCESS", str(tmp_path))

    now = Snapshot.take()

    assert now.descriptors == {}
    assert now.children == frozenset()
