"""What is said when servers start and stop."""

from __future__ import annotations

import math
import shlex
import signal
from collections.abc import Callable, Sequence
from typing import Final

from trioserver._cli.bind_address import BindAddress
from trioserver._cli.inet_address import InetAddress
from trioserver._cli.unix_address import UnixAddress

# Addresses that a server can listen on, and that no client should connect to.
_ANY_ADDRESS: Final = {"0.0.0.0": "localhost", "::": "::1"}  # noqa: S104  # not bound here


def serving_lines(what: str, addresses: Sequence[BindAddress]) -> list[str]:
    """Return what to say once *what* is served on *addresses*."""
    # The first address of each scheme.
    tried = {address.scheme: address for address in reversed(addresses)}
    return [
        *(f"Serving {what} on {address}" for address in addresses),
        *(
            f"To try it, type in another terminal: {_command(tried[scheme])}"
            for scheme in dict.fromkeys(address.scheme for address in addresses)
        ),
        "To stop it, press Ctrl-C here",
    ]


def stopping_line(signal_number: int, requests: int, drain_timeout: float) -> str:
    """Return what to say when the first signal has come.

    Args:
        signal_number: Which one.
        requests: The requests in flight.
        drain_timeout: Seconds that they may take to finish.
    """
    name = signal.Signals(signal_number).name
    if requests == 0:
        return f"{name}: stopping; no request is running"
    count = "1 request" if requests == 1 else f"{requests} requests"
    if drain_timeout == 0:
        return f"{name}: stopping at once; {count} cancelled"
    return (
        f"{name}: stopping; waiting for {count} to finish, {_limit(drain_timeout)}; "
        "a second signal stops at once"
    )


def _limit(seconds: float) -> str:
    return (
        "for as long as it takes" if seconds == math.inf else f"at most {seconds:g} s"
    )


def _command(address: BindAddress) -> str:
    """Return the command of a client, as it is typed in a shell."""
    if isinstance(address, InetAddress):
        return _INET_COMMANDS[address.scheme](address)
    return _UNIX_COMMANDS[address.scheme, address.is_abstract](address)


def _tcp(address: InetAddress) -> str:
    return f"nc {_client_host(address)} {address.port}"


def _udp(address: InetAddress) -> str:
    # A name such as localhost may stand for an IPv6 address, too, and nc would send
    # to that, where nobody listens; nothing tells it so.
    flags = "-u" if address.is_ipv6 else "-4u"
    return f"nc {flags} {_client_host(address)} {address.port}"


def _client_host(address: InetAddress) -> str:
    return _ANY_ADDRESS.get(address.host, address.host)


_INET_COMMANDS: Final[dict[str, Callable[[InetAddress], str]]] = {
    "tcp": _tcp,
    "udp": _udp,
}

_SENDTO: Final = "ABSTRACT-SENDTO:{name},bind={name}-client"

# nc knows no abstract names. It gives its datagram sockets names of their own, and
# socat does where it is told to, so that both get the replies.
_UNIX_COMMANDS: Final[dict[tuple[str, bool], Callable[[UnixAddress], str]]] = {
    ("unix", False): lambda address: f"nc -U {shlex.quote(address.path)}",
    ("unixgram", False): lambda address: f"nc -uU {shlex.quote(address.path)}",
    ("unix", True): lambda address: (
        f"socat - {shlex.quote(f'ABSTRACT-CONNECT:{address.name}')}"
    ),
    ("unixgram", True): lambda address: (
        f"socat - {shlex.quote(_SENDTO.format(name=address.name))}"
    ),
}
