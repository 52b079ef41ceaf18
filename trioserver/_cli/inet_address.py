"""Internet addresses as they are written: ``tcp://HOST:PORT``, ``udp://HOST:PORT``."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

import attrs

from trioserver._cli.errors import BindAddressError
from trioserver._log import escape

# Longer and stranger names exist in the DNS, but not as names of hosts: RFC 1123,
# section 2.1, and the underscore that people use all the same.
_HOST_NAME: Final = re.compile(rb"[A-Za-z0-9._-]+")

_MAX_PORT: Final = 65535
_PORT_DIGITS: Final = len(str(_MAX_PORT))


@attrs.frozen
class InetAddress:
    """A host and a port to listen on."""

    scheme: str
    """``tcp`` or ``udp``."""

    host: str
    """A host name, an IPv4 address, or an IPv6 address without brackets."""

    port: int
    """0 to 65535; 0 lets the system choose."""

    @property
    def is_ipv6(self) -> bool:
        """Whether the host is an IPv6 address."""
        return ":" in self.host

    @property
    def place(self) -> object:
        """What only one server can have; None for a port that the system chooses."""
        return (self.scheme, self.host, self.port) if self.port else None

    def __str__(self) -> str:
        host = f"[{self.host}]" if self.is_ipv6 else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_inet_address(text: str, scheme: str, rest: str) -> InetAddress:
    """Return the address that *text* stands for.

    Args:
        text: All of it, for messages.
        scheme: What is before the colon.
        rest: What is behind the colon.

    Raises:
        BindAddressError: If it stands for none.
    """
    location = _location(text, scheme, rest)
    split = _split_bracketed if location.startswith("[") else _split
    host, port = split(text, location)
    return InetAddress(scheme, host, _parse_port(text, port))


def _location(text: str, scheme: str, rest: str) -> str:
    """Return what follows the ``//``: a host, a colon and a port, if all is well."""
    location = rest.removeprefix("//")
    if location == rest:
        message = f"{escape(text)} lacks the // after {scheme}:, {_example(scheme)}"
        raise BindAddressError(message)
    if "@" in location:
        message = f"{escape(text)} must not name a user: leave out what is before '@'"
        raise BindAddressError(message)
    if any(mark in location for mark in "/?#"):
        message = f"{escape(text)} must end after the port, {_example(scheme)}"
        raise BindAddressError(message)
    return location


def _example(scheme: str = "tcp") -> str:
    return f"as in {scheme}://localhost:9999"


def _split_bracketed(text: str, location: str) -> tuple[str, str]:
    """Return the host and the port of ``[HOST]:PORT``."""
    host, bracket, rest = location[1:].partition("]")
    if not bracket:
        message = f"{escape(text)} lacks the ']' after the IPv6 address"
        raise BindAddressError(message)
    if "%" in host:
        message = (
            f"{escape(text)} must not name a network interface after '%': "
            "use [::], or an address that is not link-local"
        )
        raise BindAddressError(message)
    try:
        ipaddress.IPv6Address(host)
    except ValueError as error:
        message = (
            f"{escape(text)} must have an IPv6 address in its brackets, "
            "as in [::1]:9999; other hosts have none"
        )
        raise BindAddressError(message) from error
    if rest and not rest.startswith(":"):
        message = f"{escape(text)} must have a ':' and the port after the ']'"
        raise BindAddressError(message)
    return host, rest.removeprefix(":")


def _split(text: str, location: str) -> tuple[str, str]:
    """Return the host and the port of ``HOST:PORT``."""
    if location.count(":") > 1:
        message = (
            f"{escape(text)} has more than one ':': write an IPv6 address in brackets, "
            "as in [::1]:9999"
        )
        raise BindAddressError(message)
    host, _, port = location.partition(":")
    if not host:
        message = (
            f"{escape(text)} names no host: write localhost for this machine alone, "
            "0.0.0.0 or [::] for every IPv4 or IPv6 address it has"
        )
        raise BindAddressError(message)
    if not _is_host_name(host):
        message = f"{escape(text)} has a host that no machine could be called"
        raise BindAddressError(message)
    return host, port


def _is_host_name(host: str) -> bool:
    try:
        # The codec that the socket module resolves names with.
        encoded = host.encode("idna")
    except UnicodeError:
        return False
    return _HOST_NAME.fullmatch(encoded) is not None


def _parse_port(text: str, port: str) -> int:
    if not port:
        message = (
            f"{escape(text)} names no port, {_example()}; 0 lets the system choose"
        )
        raise BindAddressError(message)
    # int() also takes signs, spaces, underscores and the digits of other scripts, and
    # refuses thousands of digits in words of its own.
    digits = port.lstrip("0") or "0"
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= _PORT_DIGITS
    if not is_number or int(digits) > _MAX_PORT:
        message = f"{escape(text)} must have a port from 0 to {_MAX_PORT}, {_example()}"
        raise BindAddressError(message)
    return int(digits)
