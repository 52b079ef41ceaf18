"""One process at a time, and nothing left behind."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.serving import STUCK
from kit.unix_sockets import names_in
from trioserver._sockets.unix_directory import Directory, opened
from trioserver._sockets.unix_lock import locked


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    with opened(str(tmp_path)) as directory:
        yield directory


def test_leaves_no_file_behind(tmp_path: Path, directory: Directory) -> None:
    with locked(directory, "x"):
        assert names_in(tmp_path) == [".x.lock"]
        assert (tmp_path / ".x.lock").stat().st_mode & 0o777 == 0o600

    assert names_in(tmp_path) == []


def test_takes_the_file_that_a_killed_process_has_left(
    tmp_path: Path, directory: Directory
) -> None:
    (tmp_path / ".x.lock").touch()

    with locked(directory, "x", patience=0):
        pass

    assert names_in(tmp_path) == []


def test_gives_up_when_others_hold_it_for_too_long(directory: Directory) -> None:
    with locked(directory, "x"):
        with pytest.raises(TimeoutError, match=r"holds the lock file '\.x\.lock'"):
            locked(directory, "x", patience=0).__enter__()


def test_locks_the_file_that_is_there_and_not_one_that_was_removed(
    tmp_path: Path, directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock
    calls: list[int] = []

    def lose_it_once(descriptor: int, operation: int) -> None:
        # Whoever held it removes the file just before we get the lock.
        calls.append(descriptor)
        if len(calls) == 1:
            (tmp_path / ".x.lock").unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", lose_it_once)

    with locked(directory, "x", patience=STUCK):
        assert names_in(tmp_path) == [".x.lock"]

    assert len(calls) == 2


def test_lets_one_in_at_a_time(directory: Directory) -> None:
    inside: list[int] = []
    most: list[int] = []

    def enter() -> None:
        for _ in range(50):
            with locked(directory, "x", patience=STUCK):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(STUCK)

    assert most == [1] * 200


def test_follows_no_link_that_somebody_has_put_there(
    tmp_path: Path, directory: Directory
) -> None:
    target = tmp_path / "precious"
    (tmp_path / ".x.lock").symlink_to(target)

    with pytest.raises(OSError, match="symbolic links") as caught:
        locked(directory, "x").__enter__()

    assert caught.value.errno == errno.ELOOP
    assert not target.exists()


def test_does_not_wait_for_a_named_pipe_that_somebody_has_put_there(
    tmp_path: Path, directory: Directory
) -> None:
    os.mkfifo(tmp_path / ".x.lock")

    with locked(directory, "x", patience=0):
        pass

    assert names_in(tmp_path) == []


def test_closes_the_file_where_it_cannot_be_locked(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)

    with pytest.raises(OSError, match="No locks"):
        locked(directory, "x").__enter__()
