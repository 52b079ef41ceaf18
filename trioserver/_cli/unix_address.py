"""Addresses of Unix sockets as they are written: ``unix:/PATH?mode=660``."""

from __future__ import annotations

import re
from typing import Final

import attrs

from trioserver._cli.errors import BindAddressError
from trioserver._log import escape
from trioserver._sockets.unix_path import parse_unix_address

# What stands for the NUL of an abstract name, as in systemd, HAProxy, ss and lsof.
_ABSTRACT_MARK: Final = "@"

_MODE: Final = re.compile(r"mode=0?([0-7]{3})")


@attrs.frozen
class UnixAddress:
    """A path, or a name without a file, to listen on."""

    scheme: str
    """``unix`` or ``unixgram``."""

    path: str
    """An abstract name begins with a NUL."""

    mode: int | None = None
    """The permissions of the file; None are those that only its owner has."""

    @property
    def is_abstract(self) -> bool:
        """Whether it is a name without a file."""
        return self.path.startswith("\0")

    @property
    def name(self) -> str:
        """The abstract name without its NUL."""
        return self.path.removeprefix("\0")

    @property
    def place(self) -> object:
        """What only one server can have: streams and datagrams share the paths."""
        return (self.scheme if self.is_abstract else "path", self.path)

    def __str__(self) -> str:
        mark = _ABSTRACT_MARK if self.is_abstract else ""
        if self.path.startswith("//"):
            # Which would be a host, behind a colon.
            mark = "//"
        return f"{self.scheme}:{mark}{self.name}"


def parse_bind_unix_address(text: str, scheme: str, rest: str) -> UnixAddress:
    """Return the address that *text* stands for.

    Args:
        text: All of it, for messages.
        scheme: What is before the colon.
        rest: What is behind the colon.

    Raises:
        BindAddressError: If it stands for none.
    """
    path, mark, query = rest.partition("?")
    address = UnixAddress(
        scheme,
        _parse_path(text, scheme, path),
        _parse_mode(text, scheme, query) if mark else None,
    )
    if address.is_abstract and mark:
        message = (
            f"{escape(text)} has an abstract name, which has no file, and so no mode: "
            "leave out what begins with '?'"
        )
        raise BindAddressError(message)
    return address


def _parse_path(text: str, scheme: str, path: str) -> str:
    if path.startswith("///"):
        # As in a URL with no host.
        path = path.removeprefix("//")
    elif path.startswith("//"):
        message = (
            f"{escape(text)} has a '//' where a URL has a host: write "
            f"{scheme}:/run/app.sock, or {scheme}:app.sock for a file right here"
        )
        raise BindAddressError(message)
    if path.startswith(_ABSTRACT_MARK):
        path = path.replace(_ABSTRACT_MARK, "\0", 1)
    try:
        parse_unix_address(path)
    except (ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        message = f"{escape(text)} is no address to listen on: {reason}"
        raise BindAddressError(message) from error
    return path


def _parse_mode(text: str, scheme: str, query: str) -> int:
    found = _MODE.fullmatch(query)
    if found is None:
        message = (
            f"{escape(text)} must have nothing but mode= and three octal digits after "
            f"the '?', as in {scheme}:/run/app.sock?mode=660"
        )
        raise BindAddressError(message)
    return int(found[1], 8)
