"""The addresses of Unix sockets: paths, and names without a file."""

from __future__ import annotations

import errno
import os
import sys
from typing import Final, cast

from trioserver._log import escape

# Names without a file, which begin with a NUL: Linux alone has them.
HAS_ABSTRACT_NAMES: Final[bool] = sys.platform.startswith("linux")

# Bytes of sockaddr_un.sun_path: unix(7), and sys/un.h of the BSDs and macOS. A path has
# a NUL after it, an abstract name has not.
_ROOM: Final[int] = 108 if HAS_ABSTRACT_NAMES else 104
MAX_PATH_BYTES: Final[int] = _ROOM - 1
MAX_ABSTRACT_BYTES: Final[int] = _ROOM


def parse_unix_address(address: object) -> str | bytes:
    """Return *address* as a path, or as an abstract name with its NUL in front.

    Args:
        address: A `str`, `bytes` or `os.PathLike`. One that begins with a NUL is an
            abstract name.

    Raises:
        TypeError: If it is of another type.
        ValueError: If no socket can have this address.
        OSError: If it is too long.
    """
    if not isinstance(address, str | bytes | os.PathLike):
        message = (
            "the address of a Unix socket must be a path, as str, bytes or "
            f"os.PathLike, not {escape(address)}"
        )
        raise TypeError(message)
    encoded = os.fsencode(cast("str | bytes | os.PathLike[str]", address))
    if encoded.startswith(b"\0"):
        return _checked_abstract(encoded)
    _check_path(encoded)
    return os.fsdecode(encoded)


def _checked_abstract(name: bytes) -> bytes:
    if not HAS_ABSTRACT_NAMES:
        message = (
            f"the address {escape(name)} begins with a NUL: abstract names exist only "
            "on Linux; give a path"
        )
        raise ValueError(message)
    _check_length(name, MAX_ABSTRACT_BYTES)
    return name


def _check_path(path: bytes) -> None:
    if not path:
        # Linux would choose an abstract name, which everybody on the machine can
        # connect to: not what an empty variable shall mean.
        message = (
            "the path of a Unix socket must not be empty: give a path, or "
            "'\\0' and a name for an abstract one"
        )
        raise ValueError(message)
    if b"\0" in path:
        # The kernel would take what is before it.
        message = f"the path {escape(path)} has a NUL in it, which no path can have"
        raise ValueError(message)
    if os.path.basename(path) in {b"", b".", b".."}:  # noqa: PTH119  # Path("a/") is Path("a")
        message = f"the path {escape(path)} names a directory: name a file in it"
        raise ValueError(message)
    _check_length(path, MAX_PATH_BYTES)


def _check_length(address: bytes, limit: int) -> None:
    if len(address) > limit:
        message = (
            f"the address {escape(address)} has {len(address)} bytes, and that of a "
            f"Unix socket at most {limit}: choose a shorter one, or a relative path"
        )
        raise OSError(errno.ENAMETOOLONG, message)
