"""What ends the command line early, each with its exit code."""

from __future__ import annotations

import enum
from typing import Final


class ExitCode(enum.IntEnum):
    """What the program tells whoever started it."""

    CLEAN = 0
    """It did what it was told to."""

    FAILED = 1
    """A server could not start, or has died."""

    USAGE = 2
    """The command line was wrong. argparse ends with the same number."""


# A shell reports a program that a signal has ended as 128 and the signal's number;
# a program that ends itself because of a signal says the same.
SIGNAL_EXIT_CODE: Final = 128


class BindAddressError(ValueError):
    """The text is no address to listen on. The message says how to write one."""


class CommandError(Exception):
    """The program cannot go on. The message says what is wrong and what to do."""

    exit_code = ExitCode.FAILED


class UsageError(CommandError):
    """The command line was wrong."""

    exit_code = ExitCode.USAGE


class StartError(CommandError):
    """A server could not start."""


class ServerDiedError(CommandError):
    """A server has ended that nobody had told to."""
