"""The command ``trioserver``: arguments in, servers running, exit code out."""

from __future__ import annotations

import logging
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import trio

from trioserver._cli.announcement import serving_lines
from trioserver._cli.arguments import ServeArguments, parse_arguments
from trioserver._cli.console import complain, say
from trioserver._cli.errors import SIGNAL_EXIT_CODE, CommandError
from trioserver._cli.handler_kinds import check_kinds, handler_for
from trioserver._cli.handler_loading import load_handler
from trioserver._cli.listening import BoundServer, bind_all
from trioserver._cli.running import run_servers
from trioserver._log import log
from trioserver._servers.base import HandlerFactory


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit code.

    Args:
        argv: What follows the program's name; by default, what it was started with.

    Raises:
        SystemExit: After ``--help`` or ``--version``.
    """
    try:
        return _serve(parse_arguments(argv))
    except CommandError as error:
        complain(str(error))
        if error.__cause__ is not None:
            log(logging.DEBUG, "It failed because of this", error=error.__cause__)
        return error.exit_code
    except KeyboardInterrupt:
        # Ctrl-C before the servers run, or a third one while they are being stopped.
        return SIGNAL_EXIT_CODE + signal.SIGINT


def _serve(arguments: ServeArguments) -> int:
    # Before the handler's module is imported: it may log, too.
    logging.basicConfig(
        level=arguments.log_level,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    handler: HandlerFactory | None = None
    if arguments.handler is not None:
        handler = load_handler(arguments.handler)
        check_kinds(arguments.handler, handler, arguments.binds)
    what = arguments.handler or "the upper-casing example"
    with ExitStack() as closing:
        servers = bind_all(
            arguments.binds,
            partial(handler_for, handler=handler),
            drain_timeout=arguments.drain_timeout,
            closing=closing,
        )
        return trio.run(run_servers, servers, partial(_announce, what, servers))


def _announce(what: str, servers: Sequence[BoundServer]) -> None:
    say(*serving_lines(what, [bound.bind_address for bound in servers]))
