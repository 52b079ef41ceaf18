"""What may stand on the command line, and what it means."""

from __future__ import annotations

import argparse
import importlib.metadata
from collections.abc import Sequence
from typing import Final, NoReturn

import attrs

from trioserver._cli.bind_address import BindAddress, parse_bind_address
from trioserver._cli.console import say
from trioserver._cli.errors import BindAddressError, UsageError
from trioserver._cli.inet_address import InetAddress
from trioserver._log import escape

DEFAULT_BIND: Final = InetAddress("tcp", "localhost", 9999)

# Seconds. What Docker waits between SIGTERM and SIGKILL; Kubernetes waits for 30.
DEFAULT_DRAIN: Final = 10.0

LOG_LEVELS: Final = ("debug", "info", "warning", "error", "critical")

_DESCRIPTION: Final = "Servers on Trio, in the manner of the standard library."

_EPILOG: Final = """\
examples:
  trioserver serve          serve the example on localhost:9999
  trioserver serve --help   what else there is
"""

_SERVE_DESCRIPTION: Final = """\
Serve clients until Ctrl-C or SIGTERM. Without a handler, the example of the
documentation is served: it answers each line, or each datagram, in upper case.
"""

_SERVE_EPILOG: Final = """\
examples:
  trioserver serve
      the example, on localhost:9999; try it with: nc localhost 9999
  trioserver serve chat:ChatHandler
      the class ChatHandler of chat.py in the current directory
  trioserver serve chat:ChatHandler --bind tcp://0.0.0.0:9999 --bind tcp://[::]:9999
      the same for every IPv4 and every IPv6 address of this machine
  trioserver serve chat:ChatHandler --bind tcp://localhost:0 --drain inf
      a port that the system chooses; a stop waits as long as requests take
  trioserver serve chat:ChatHandler --bind unix:/run/chat.sock?mode=660
      a Unix socket, for the user and the group that own its file
  trioserver serve --bind udp://localhost:9999 --bind unixgram:/run/upper.sock
      the example, for datagrams

A first SIGINT (Ctrl-C) or SIGTERM stops accepting and lets requests finish; a second
one stops at once.

exit code:
  0      after a clean stop
  1      a server could not start, or has died
  2      the command line was wrong
  128+n  a second signal, number n, has stopped it (Ctrl-C: 130, SIGTERM: 143)
"""


@attrs.frozen
class ServeArguments:
    """What ``trioserver serve`` is asked to do."""

    handler: str | None
    """``MODULE:HANDLER``; None is the example."""

    binds: tuple[BindAddress, ...]
    """Where to listen, one server for each."""

    drain_timeout: float
    """Seconds that requests may take to finish after the first signal."""

    log_level: str
    """The least level that is logged, as the `logging` module calls it."""


class _Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong, instead of its whole usage."""

    def error(self, message: str) -> NoReturn:
        text = f"{message}; '{self.prog} --help' shows what there is"
        raise UsageError(text)


class _ShowVersion(argparse.Action):
    """Looks the version up only when it is asked for, which takes a while."""

    def __call__(
        self, parser: argparse.ArgumentParser, *_args: object, **_kwargs: object
    ) -> NoReturn:
        say(f"trioserver {_version()}")
        parser.exit()


def _version() -> str:
    try:
        return importlib.metadata.version("trioserver")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed, so its version is unknown)"


def parse_arguments(argv: Sequence[str] | None = None) -> ServeArguments:
    """Return what *argv*, by default the program's own arguments, asks for.

    Raises:
        UsageError: If they make no sense.
        SystemExit: After ``--help`` or ``--version``.
    """
    found = _parser().parse_args(argv)
    if found.command is None:
        message = (
            "there is nothing to do: 'trioserver serve' serves an example on "
            f"{DEFAULT_BIND}; 'trioserver --help' shows what there is"
        )
        raise UsageError(message)
    binds = tuple(found.binds or [DEFAULT_BIND])
    _refuse_duplicates(binds)
    return ServeArguments(
        found.handler, binds, found.drain_timeout, found.log_level.upper()
    )


def _refuse_duplicates(binds: Sequence[BindAddress]) -> None:
    # Several ports that the system chooses are several ports.
    places = [bind.place for bind in binds if bind.place is not None]
    for bind in binds:
        if places.count(bind.place) > 1:
            message = f"--bind {bind} is given more than once: leave the others out"
            raise UsageError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="trioserver",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action=_ShowVersion, nargs=0, help="show the version and exit"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="serve clients until Ctrl-C",
        description=_SERVE_DESCRIPTION,
        epilog=_SERVE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_serve_arguments(serve)
    return parser


def _add_serve_arguments(serve: argparse.ArgumentParser) -> None:
    serve.add_argument(
        "handler",
        nargs="?",
        metavar="MODULE:HANDLER",
        help=(
            "a class derived from trioserver.BaseRequestHandler, or an async function "
            "(request, client_address, server), of a module in the current directory "
            "or on Python's path (default: the example)"
        ),
    )
    serve.add_argument(
        "--bind",
        action="append",
        dest="binds",
        type=_bind_address,
        metavar="ADDRESS",
        help=(
            "where to listen; may be repeated: tcp://HOST:PORT or udp://HOST:PORT, "
            "IPv6 in brackets, as in tcp://[::1]:9999; port 0 lets the system choose; "
            "unix:PATH for streams or unixgram:PATH for datagrams, with ?mode=660 for "
            "other permissions than 600, and unix:@NAME for an abstract name "
            f"(default: {DEFAULT_BIND})"
        ),
    )
    serve.add_argument(
        "--drain",
        dest="drain_timeout",
        type=_drain_timeout,
        default=DEFAULT_DRAIN,
        metavar="SECONDS",
        help=(
            "how long requests may take to finish once the server is told to stop; "
            "0 cancels them at once, inf waits for ever (default: "
            f"{DEFAULT_DRAIN:g})"
        ),
    )
    serve.add_argument(
        "--log-level",
        choices=LOG_LEVELS,
        default="info",
        metavar="LEVEL",
        help=f"what to log to stderr: {', '.join(LOG_LEVELS)} (default: info)",
    )


def _bind_address(text: str) -> BindAddress:
    try:
        return parse_bind_address(text)
    except BindAddressError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _drain_timeout(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not seconds >= 0:  # this way round, NaN is refused too
        message = (
            f"{escape(text)} must be a number of seconds, 0 or more, or inf to wait "
            "as long as requests take"
        )
        raise argparse.ArgumentTypeError(message)
    return seconds
