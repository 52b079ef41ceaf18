"""Addresses to listen on, as they are written: ``tcp://HOST:PORT``, ``unix:PATH``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from trioserver._cli.errors import BindAddressError
from trioserver._cli.inet_address import InetAddress, parse_inet_address
from trioserver._cli.unix_address import UnixAddress, parse_bind_unix_address
from trioserver._log import escape

BindAddress = InetAddress | UnixAddress

# What each scheme is followed by, and how that is understood.
_SCHEMES: Final[
    dict[str, tuple[str, Callable[[str, str, str], InetAddress | UnixAddress]]]
] = {
    "tcp": ("//", parse_inet_address),
    "udp": ("//", parse_inet_address),
    "unix": ("", parse_bind_unix_address),
    "unixgram": ("", parse_bind_unix_address),
}


def parse_bind_address(text: str) -> BindAddress:
    """Return the address that *text* stands for.

    Raises:
        BindAddressError: If it stands for none.
    """
    scheme, separator, rest = text.partition(":")
    found = _SCHEMES.get(scheme.lower())
    if found is None or not separator:
        begins = [f"{name}:{slashes}" for name, (slashes, _) in _SCHEMES.items()]
        message = (
            f"{escape(text)} begins with none of {', '.join(begins)}; write an address "
            "as in tcp://localhost:9999"
        )
        raise BindAddressError(message)
    _, parse = found
    return parse(text, scheme.lower(), rest)
