"""Addresses on the command line, and the whole of it."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, suppress

from trioserver._cli.arguments import parse_arguments
from trioserver._cli.bind_address import parse_bind_address
from trioserver._cli.console import complain
from trioserver._cli.errors import BindAddressError, CommandError

# The most that a message about something wrong may have: the text in it is cut.
MOST_CHARACTERS = 1000

# The same for the line on the console: `MAX_LINE`, and what stands around it.
MOST_SHOWN = 1100


def parse_any_address(data: bytes) -> None:
    """Parse text, and what comes of it again."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        address = parse_bind_address(text)
    except BindAddressError as error:
        _check_message(str(error))
        return
    # What it is shown as stands for it, but for what has no place there.
    if "?" not in text:
        assert parse_bind_address(str(address)) == address, address


def parse_any_arguments(data: bytes) -> None:
    """Parse words."""
    words = data.decode("utf-8", "surrogateescape").split("\n")
    with suppress(SystemExit):  # --help
        try:
            parse_arguments(words)
        except CommandError as error:
            _check_complaint(str(error))


def _check_complaint(message: str) -> None:
    """Check what is shown: argparse quotes whole words, and the console cuts them."""
    with redirect_stderr(io.StringIO()) as shown:
        complain(message)
    (line,) = shown.getvalue().splitlines()
    assert line.isascii(), line
    assert line.isprintable(), line
    assert len(line) <= MOST_SHOWN, line


def _check_message(message: str) -> None:
    assert message
    assert len(message) <= MOST_CHARACTERS + len("serve"), message
