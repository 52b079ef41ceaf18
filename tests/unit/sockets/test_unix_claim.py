"""A path is claimed as a whole, or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from kit.unix_sockets import leave_stale, names_in
from trioserver._sockets import unix_claim, unix_probe
from trioserver._sockets.unix_bind import bind_unix
from trioserver._sockets.unix_claim import UnixClaim
from trioserver._sockets.unix_directory import opened

Bind = Callable[[UnixClaim, socket.socket], None]

# Any function, with any arguments.
Function: TypeAlias = Callable[..., object]  # type: ignore[explicit-any]  # see above


def listen_beside(claim: UnixClaim, sock: socket.socket) -> None:
    """Bind as a stream server does, and listen."""
    claim.bind_beside(sock, 0o660)
    sock.listen()
    claim.publish()


def bind_in_place(claim: UnixClaim, sock: socket.socket) -> None:
    """Bind as a datagram server does."""
    claim.bind_in_place(sock, 0o660)


WAYS: dict[int, Bind] = {
    socket.SOCK_STREAM: listen_beside,
    socket.SOCK_DGRAM: bind_in_place,
}

each_way = pytest.mark.parametrize("kind", WAYS, ids=["stream", "datagram"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x"


def claim_of(path: Path, *, allow_takeover: bool = False) -> UnixClaim:
    return UnixClaim.of(str(path), allow_takeover=allow_takeover)


@each_way
def test_claims_a_path_and_gives_it_back(path: Path, kind: int) -> None:
    claim = claim_of(path)
    with socket.socket(socket.AF_UNIX, kind) as sock:
        WAYS[kind](claim, sock)
        assert names_in(path.parent) == ["x"]
        claim.withdraw()

    assert names_in(path.parent) == []


@each_way
def test_replaces_what_a_dead_server_has_left(path: Path, kind: int) -> None:
    leave_stale(path)
    claim = claim_of(path)
    with socket.socket(socket.AF_UNIX, kind) as sock:
        WAYS[kind](claim, sock)
        with pytest.raises(OSError, match="listens there"):
            claim_of(path).bind_beside(sock, 0o600)
        claim.withdraw()


@each_way
@pytest.mark.parametrize("other_kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_takes_nothing_from_a_socket_that_does_not_listen_yet(
    path: Path, kind: int, other_kind: int
) -> None:
    with (
        socket.socket(socket.AF_UNIX, kind) as sock,
        socket.socket(socket.AF_UNIX, other_kind) as other,
    ):
        other.bind(str(path))
        before = path.lstat()
        with pytest.raises(OSError, match="another program listens there") as caught:
            WAYS[kind](claim_of(path), sock)

        assert caught.value.errno == errno.EADDRINUSE
        assert path.lstat().st_ino == before.st_ino


@each_way
def test_takes_a_path_over_where_that_is_asked_for(path: Path, kind: int) -> None:
    with (
        socket.socket(socket.AF_UNIX, kind) as first,
        socket.socket(socket.AF_UNIX, kind) as second,
    ):
        predecessor, successor = claim_of(path), claim_of(path, allow_takeover=True)
        WAYS[kind](predecessor, first)
        WAYS[kind](successor, second)
        predecessor.withdraw()
        assert names_in(path.parent) == ["x"]
        successor.withdraw()

    assert names_in(path.parent) == []


def make_directory(path: Path) -> None:
    path.mkdir()


def make_link(path: Path) -> None:
    path.symlink_to("elsewhere")


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


@each_way
@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (Path.touch, "there is a file"),
        (make_directory, "there is a directory"),
        (make_link, "there is a symbolic link"),
        (make_pipe, "there is a named pipe"),
    ],
)
@pytest.mark.parametrize("allow_takeover", [False, True])
def test_removes_nothing_that_is_no_socket(
    path: Path,
    kind: int,
    make: Callable[[Path], None],
    complaint: str,
    *,
    allow_takeover: bool,
) -> None:
    make(path)
    before = path.lstat()

    with socket.socket(socket.AF_UNIX, kind) as sock:
        with pytest.raises(OSError, match=complaint) as caught:
            WAYS[kind](claim_of(path, allow_takeover=allow_takeover), sock)

    assert caught.value.errno == errno.EADDRINUSE
    assert path.lstat() == before
    assert names_in(path.parent) == ["x"]


def test_removes_what_was_killed_before_it_listened_and_nothing_else(
    path: Path,
) -> None:
    directory = path.parent
    leave_stale(directory / ".x.0123abcd")
    leave_stale(directory / ".x.0123abc")
    leave_stale(directory / ".y.0123abcd")
    (directory / ".x.4567abcd").touch()
    with (
        socket.socket(socket.AF_UNIX) as alive,
        socket.socket(socket.AF_UNIX) as sock,
    ):
        claim_of(path).bind_beside(alive, 0o600)
        living = set(names_in(directory)) - {
            ".x.0123abc",
            ".x.0123abcd",
            ".x.4567abcd",
            ".y.0123abcd",
        }
        claim = claim_of(path)
        claim.bind_beside(sock, 0o600)
        claim.withdraw()

    assert len(living) == 1
    assert set(names_in(directory)) == {
        ".x.0123abc",
        ".x.4567abcd",
        ".y.0123abcd",
        *living,
    }


def test_works_with_the_longest_path_that_there_is(tmp_path: Path) -> None:
    room = unix_claim_room(tmp_path)
    directory = tmp_path / ("d" * (room - len("/x") - len("/")))
    directory.mkdir()
    path = directory / "x"
    assert len(str(path)) == 107
    claim = claim_of(path)
    with socket.socket(socket.AF_UNIX) as sock:
        listen_beside(claim, sock)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        claim.withdraw()

    assert names_in(directory) == []


def unix_claim_room(directory: Path) -> int:
    return 107 - len(str(directory))


def test_a_relative_path_means_the_same_after_a_change_of_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    claim = UnixClaim.of("x", allow_takeover=False)
    with socket.socket(socket.AF_UNIX) as sock:
        claim.bind_beside(sock, 0o600)
        monkeypatch.chdir(elsewhere)
        (elsewhere / "x").touch()
        sock.listen()
        claim.publish()
        assert names_in(tmp_path) == ["elsewhere", "x"]
        claim.withdraw()

    assert names_in(tmp_path) == ["elsewhere"]
    assert names_in(elsewhere) == ["x"]


def test_a_child_of_the_server_removes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = claim_of(path)
    with socket.socket(socket.AF_UNIX) as sock:
        listen_beside(claim, sock)
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            claim.withdraw()
        assert names_in(path.parent) == ["x"]
        claim.withdraw()


def test_closing_is_no_error_where_the_directory_is_gone(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    claim = claim_of(path)
    with socket.socket(socket.AF_UNIX) as sock:
        listen_beside(claim, sock)
        tmp_path.rename(tmp_path.with_name("moved"))
        claim.withdraw()
    tmp_path.with_name("moved").rename(tmp_path)

    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    assert "stays behind: FileNotFoundError" in caplog.messages[0]


def test_says_so_where_it_must_not_find_out_who_lives(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_stale(path)

    def refuse(*_: object) -> socket.socket:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(unix_probe, "_connected", refuse)

    with socket.socket(socket.AF_UNIX) as sock:
        with pytest.raises(PermissionError, match="needs the right to search"):
            claim_of(path).bind_beside(sock, 0o600)


def test_changes_the_mode_of_no_file_that_was_put_in_its_place(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.touch(0o644)
    (tmp_path / "x").symlink_to(precious)

    with opened(str(tmp_path)) as directory:
        with pytest.raises(OSError, match="somebody else writes to the directory"):
            unix_claim._set_mode(directory, "x", 0o600)

    assert precious.stat().st_mode & 0o777 == 0o644


@each_way
def test_the_file_is_born_with_its_mode(
    path: Path, monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    """Nobody has to correct it, unless the umask takes something away."""
    corrections: list[int] = []

    def correct(_directory: object, name: str, mode: int) -> None:
        found = (path.parent / name).lstat().st_mode
        corrections.append((found & 0o777) ^ mode)

    monkeypatch.setattr(unix_claim, "_set_mode", correct)
    before = os.umask(0)
    try:
        claim = claim_of(path)
        with socket.socket(socket.AF_UNIX, kind) as sock:
            WAYS[kind](claim, sock)
            claim.withdraw()
    finally:
        os.umask(before)

    assert corrections == [0]


# Whatever fails


CALLS = [
    (os, "open"),
    (os, "stat"),
    (os, "fchmod"),
    (os, "chmod"),
    (os, "rename"),
    (os, "listdir"),
    (fcntl, "flock"),
    (socket.socket, "bind"),
]


class Saboteur:
    """Lets one system call of many fail."""

    def __init__(self, at_call: int, error: BaseException) -> None:
        self.calls = 0
        self._at_call = at_call
        self._error = error

    def sabotaged(self, function: Function) -> Function:
        def call(*arguments: object, **named: object) -> object:
            self.calls += 1
            if self.calls == self._at_call:
                raise self._error
            return function(*arguments, **named)

        return call


@pytest.fixture
def umask_077() -> Iterator[None]:
    """Let the mode be set a second time."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@each_way
@pytest.mark.parametrize(
    "error",
    [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()],
    ids=["EIO", "Ctrl-C"],
)
@pytest.mark.usefixtures("umask_077")
def test_whatever_fails_while_it_is_claimed_leaves_nothing_behind(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: int,
    error: BaseException,
) -> None:
    at_call = 0
    is_sabotaged = True
    while is_sabotaged:
        at_call += 1
        saboteur = Saboteur(at_call, error)
        claim = claim_of(path)
        with (
            socket.socket(socket.AF_UNIX, kind) as sock,
            monkeypatch.context() as patch,
        ):
            for owner, name in CALLS:
                patch.setattr(owner, name, saboteur.sabotaged(getattr(owner, name)))
            with contextlib.suppress(OSError, KeyboardInterrupt):
                WAYS[kind](claim, sock)
            patch.undo()
            claim.withdraw()
        assert names_in(path.parent) == [], f"call {at_call}"
        is_sabotaged = saboteur.calls >= at_call

    assert at_call > 5


def test_binds_an_abstract_name_without_a_file(tmp_path: Path) -> None:
    name = f"\0trioserver-{tmp_path}"[:100]
    with (
        socket.socket(socket.AF_UNIX) as first,
        socket.socket(socket.AF_UNIX) as second,
    ):
        address, claim = bind_unix(first, name, mode=0o600, allow_takeover=False)
        first.listen()
        with pytest.raises(OSError, match=f"the process {os.getpid()} listens there"):
            bind_unix(second, name, mode=0o600, allow_takeover=True)
        with pytest.raises(OSError, match="Invalid argument"):
            bind_unix(first, name, mode=0o600, allow_takeover=False)

    assert address == name.encode()
    assert claim is None
