"""The directory that a Unix socket is bound in, a real one."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from unittest.mock import patch

from trioserver._sockets.unix_bind import bind_unix
from trioserver._sockets.unix_directory import opened


def looks_at_files(directory: Path) -> int:
    """Return how often a file is looked at when a socket is bound in *directory*."""
    with (
        socket.socket(socket.AF_UNIX) as sock,
        patch.object(os, "stat", wraps=os.stat) as stat,
    ):
        path = str(directory / "socket")
        _, claim = bind_unix(sock, path, mode=0o600, allow_takeover=False)
        assert claim is not None
        claim.withdraw()
    return stat.call_count


def test_other_files_are_not_looked_at(tmp_path: Path) -> None:
    empty, full = tmp_path / "empty", tmp_path / "full"
    empty.mkdir()
    full.mkdir()
    for number in range(100):
        (full / str(number)).touch()

    assert 0 < looks_at_files(full) == looks_at_files(empty)


def test_tells_sockets_from_other_files(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with socket.socket(socket.AF_UNIX) as sock, opened(str(tmp_path)) as directory:
        sock.bind(str(tmp_path / "socket"))

        assert sorted(directory.names()) == ["file", "socket"]
        assert [name for name in directory.names() if directory.is_socket(name)] == [
            "socket"
        ]
        assert not directory.is_socket("gone")
