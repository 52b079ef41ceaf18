"""Which addresses a Unix socket can have."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from trioserver._sockets import unix_path
from trioserver._sockets.unix_path import (
    MAX_ABSTRACT_BYTES,
    MAX_PATH_BYTES,
    parse_unix_address,
)


class BytesPath:
    """A path that is bytes."""

    def __fspath__(self) -> bytes:
        return b"/run/x.sock"


@pytest.mark.parametrize(
    ("address", "parsed"),
    [
        ("/run/x.sock", "/run/x.sock"),
        ("x.sock", "x.sock"),
        (b"/run/y.sock", "/run/y.sock"),
        (b"\xff.sock", "\udcff.sock"),
        (Path("/run/x.sock"), "/run/x.sock"),
        (BytesPath(), "/run/x.sock"),
        ("x" * MAX_PATH_BYTES, "x" * MAX_PATH_BYTES),
        ("\0name", b"\0name"),
        (b"\0other", b"\0other"),
        (b"\0a\0b", b"\0a\0b"),
        ("\0" + "x" * (MAX_ABSTRACT_BYTES - 1), b"\0" + b"x" * 107),
    ],
)
def test_takes_a_path_or_an_abstract_name(address: object, parsed: str | bytes) -> None:
    assert parse_unix_address(address) == parsed


@pytest.mark.parametrize(
    ("address", "error", "complaint"),
    [
        (5, TypeError, "must be a path, as str, bytes or os.PathLike, not 5"),
        (("localhost", 80), TypeError, "not ('localhost', 80)"),
        ("", ValueError, "must not be empty"),
        ("a\0b", ValueError, r"b'a\x00b' has a NUL in it"),
        ("/run/", ValueError, "names a directory"),
        ("..", ValueError, "names a directory"),
        ("\ud800", ValueError, "surrogates"),
        (
            "\u00e9" * 54,
            OSError,
            "has 108 bytes, and that of a Unix socket at most 107",
        ),
        ("\0" + "x" * 108, OSError, "has 109 bytes"),
        ("/run/\x1b[2J/", ValueError, r"b'/run/\x1b[2J/'"),
    ],
)
def test_refuses_what_no_socket_can_have(
    address: object, error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error) as caught:
        parse_unix_address(address)

    assert complaint in str(caught.value)
    assert str(caught.value).isprintable()


def test_says_with_the_number_of_the_system_that_a_path_is_too_long() -> None:
    with pytest.raises(OSError, match="at most") as caught:
        parse_unix_address("x" * 1000)

    assert caught.value.errno == errno.ENAMETOOLONG
    assert len(str(caught.value)) < 400


def test_refuses_abstract_names_where_there_are_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unix_path, "HAS_ABSTRACT_NAMES", False)

    with pytest.raises(ValueError, match="abstract names exist only on Linux"):
        parse_unix_address("\0name")
