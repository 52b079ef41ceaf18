"""The mode of a Unix server's file: the one that was asked for, always."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from kit.serving import STUCK
from trioserver import UnixDatagramServer, UnixStreamServer

EACH_KIND = (UnixStreamServer, UnixDatagramServer)

each_kind = pytest.mark.parametrize("kind", EACH_KIND, ids=lambda kind: kind.__name__)

Kind = type[UnixStreamServer] | type[UnixDatagramServer]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.sock"


async def handle(request: object, client_address: object, server: object) -> None:
    """Handles nothing."""


@pytest.fixture
def umask() -> Iterator[None]:
    """Let a test change the umask."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
@each_kind
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o177])
@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666, 0o777])
def test_the_mode_is_the_one_that_was_asked_for(
    path: Path, kind: Kind, mask: int, mode: int
) -> None:
    os.umask(mask)

    class Server(kind):  # type: ignore[misc, valid-type]  # whichever it is
        socket_mode = mode

    with Server(path, handle):
        found = stat.S_IMODE(path.stat().st_mode)

    assert found == mode
    assert os.umask(0o022) == mask


@each_kind
def test_nobody_else_may_connect_by_default(path: Path, kind: Kind) -> None:
    with kind(path, handle):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


class Watcher:
    """Looks at the mode of a file, again and again, in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.seen: set[int] = set()
        self._path = path
        self._looks = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(STUCK)

    def _look(self) -> None:
        while not self._is_over.is_set():
            with contextlib.suppress(FileNotFoundError):
                self.seen.add(stat.S_IMODE(self._path.stat().st_mode))
            self._looks += 1

    def wait_for_look(self) -> None:
        """Wait until it has looked from now on."""
        # The one that it is about to end may have begun before.
        until = self._looks + 2
        while self._looks < until:
            self._is_over.wait(0.0001)


@pytest.mark.slow
@pytest.mark.usefixtures("umask")
@each_kind
@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_no_other_mode_is_ever_seen(path: Path, kind: Kind, mask: int) -> None:
    class Server(kind):  # type: ignore[misc, valid-type]  # whichever it is
        # A stream server widens it before the file is in its place.
        socket_mode = 0o660 if kind is UnixStreamServer else 0o640

    os.umask(mask)
    with Watcher(path) as watcher:
        for _ in range(100):
            with Server(path, handle):
                watcher.wait_for_look()

    assert watcher.seen == {Server.socket_mode}
