"""How the addresses of Unix sockets are written."""

from __future__ import annotations

import pytest

from trioserver._cli.bind_address import parse_bind_address
from trioserver._cli.errors import BindAddressError
from trioserver._cli.unix_address import UnixAddress


@pytest.mark.parametrize(
    ("text", "scheme", "path", "mode"),
    [
        ("unix:/run/x.sock", "unix", "/run/x.sock", None),
        ("UNIX:/run/x.sock", "unix", "/run/x.sock", None),
        ("unix:x.sock", "unix", "x.sock", None),
        ("unix:./@x", "unix", "./@x", None),
        ("unix:///run/x.sock", "unix", "/run/x.sock", None),
        ("unix:/run/x.sock?mode=660", "unix", "/run/x.sock", 0o660),
        ("unix:/run/x.sock?mode=0666", "unix", "/run/x.sock", 0o666),
        ("unix:/a:b", "unix", "/a:b", None),
        ("unix:@x", "unix", "\0x", None),
        ("unix:@@x", "unix", "\0@x", None),
        ("unixgram:/run/x.sock?mode=000", "unixgram", "/run/x.sock", 0),
        ("unixgram:@x", "unixgram", "\0x", None),
    ],
)
def test_understands_a_path_or_an_abstract_name(
    text: str, scheme: str, path: str, mode: int | None
) -> None:
    assert parse_bind_address(text) == UnixAddress(scheme, path, mode)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("unix:", "the path of a Unix socket must not be empty"),
        ("unix:?mode=660", "must not be empty"),
        ("unix:/run/", "names a directory"),
        ("unix:/" + "x" * 107, "has 108 bytes, and that of a Unix socket at most 107"),
        ("unix:@" + "x" * 108, "has 109 bytes"),
        ("unix://run/x.sock", "write unix:/run/app.sock, or unix:app.sock"),
        ("unixgram://x", "write unixgram:/run/app.sock, or unixgram:app.sock"),
        ("unix:/x?", "must have nothing but mode="),
        ("unix:/x?mode=", "must have nothing but mode="),
        ("unix:/x?mode=66", "three octal digits"),
        ("unix:/x?mode=668", "three octal digits"),
        ("unix:/x?mode=1777", "three octal digits"),
        ("unix:/x?mode=660&user=me", "must have nothing but mode="),
        ("unixgram:/x?user=me", "as in unixgram:/run/app.sock?mode=660"),
        ("unix:@x?mode=660", "has an abstract name, which has no file, and so no mode"),
        ("unix:\x1b[2J\ud800", "no address to listen on"),
    ],
)
def test_refuses_with_a_sentence(text: str, complaint: str) -> None:
    with pytest.raises(BindAddressError) as caught:
        parse_bind_address(text)

    assert complaint in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text", ["unix:/x", "unix:x", "unix:@x", "unixgram:/x", "unix:////x"]
)
def test_is_shown_as_it_is_written(text: str) -> None:
    assert str(parse_bind_address(text)) == text
