"""Refuse wrong arguments at once, by their names, and say what would be right."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable

import trio

from trioserver._servers.base import BaseServer


def check_seconds(name: str, value: object) -> None:
    """Insist on a number of seconds.

    Raises:
        TypeError: If it is no number.
        ValueError: If it is negative, or no time at all.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"{name} must be a number of seconds, not {value!r}"
        raise TypeError(message)
    if not value >= 0:
        message = f"{name} must be seconds from 0 on, not {value!r}"
        raise ValueError(message)


def check_some_time(function: str, seconds: object) -> None:
    """Insist on more seconds than none.

    Raises:
        TypeError: If it is no number.
        ValueError: If it is none, or less.
    """
    check_seconds(f"the seconds of {function}", seconds)
    if seconds == 0:
        message = f"{function} needs some time, as 0.01 s, not {seconds!r}"
        raise ValueError(message)


def check_server(function: str, server: object, network: object) -> None:
    """Insist on a server, and on a network if there is one.

    Raises:
        TypeError: If one is something else, as a class.
    """
    if not isinstance(server, BaseServer):
        message = f"{function} needs a server, not {server!r}"
        raise TypeError(message)
    can_adopt = hasattr(network, "adopt") and not isinstance(network, type)
    if network is not None and not can_adopt:
        message = f"{function} needs a network, as MemoryNetwork(), not {network!r}"
        raise TypeError(message)


def check_has(function: str, value: object, name: str) -> None:
    """Insist on a *value* that has what will be used of it later.

    Raises:
        TypeError: If it has no such attribute.
    """
    if not hasattr(value, name):
        message = f"{function} needs something with {name}, not {value!r}"
        raise TypeError(message)


def check_count(name: str, value: object) -> None:
    """Insist on a whole number from 1 on.

    Raises:
        TypeError: If it is no whole number.
        ValueError: If it is less.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        message = f"{name} must be a whole number, not {value!r}"
        raise TypeError(message)
    if value < 1:
        message = f"{name} must be 1 or more, not {value!r}"
        raise ValueError(message)


def check_bytes(name: str, value: object) -> None:
    """Insist on bytes.

    Raises:
        TypeError: If it is something else, as text.
    """
    if not isinstance(value, bytes | bytearray | memoryview):
        remedy = ": encode the text" if isinstance(value, str) else ""
        message = f"{name} must be bytes, not {value!r}{remedy}"
        raise TypeError(message)


def checked_paths(
    paths: Iterable[str | os.PathLike[str]],
) -> tuple[str | os.PathLike[str], ...]:
    """Return *paths*, which are several.

    Raises:
        TypeError: If it is a single one, whose letters would be taken for paths.
        ValueError: If one is no directory, so that nothing would ever be found there.
    """
    if isinstance(paths, str | bytes | os.PathLike):
        message = f"paths must be several directories: write paths=[{paths!r}]"
        raise TypeError(message)
    several = tuple(paths)
    for path in several:
        if not os.path.isdir(path):  # noqa: PTH112  # strings as well as paths
            message = f"paths must be directories, which {os.fspath(path)!r} is not"
            raise ValueError(message)
    return several


def checked_only(only: int | Iterable[int] | None) -> tuple[int, ...] | None:
    """Return the numbers that *only* means, if any.

    Raises:
        TypeError: If one is no whole number.
        ValueError: If one is less than 1.
    """
    if only is None:
        return None
    numbers = tuple(only) if isinstance(only, Iterable) else (only,)
    for number in numbers:
        check_count("only", number)
    return numbers


def check_names(name: str, given: Iterable[str], known: Collection[str]) -> None:
    """Insist that each of the *given* names is a *known* one.

    Raises:
        ValueError: If one is not, or there is none.
    """
    names = tuple(given)
    unknown = next((one for one in names if one not in known), None)
    if unknown is not None:
        message = f"{name}: there is no {unknown!r}, but {', '.join(sorted(known))}"
        raise ValueError(message)
    if not names:
        message = f"{name} is empty: leave it out to try all"
        raise ValueError(message)


def check_outside_of_trio(function: str) -> None:
    """Insist that there is no Trio run in this thread.

    Raises:
        RuntimeError: If there is one.
    """
    if trio.lowlevel.in_trio_run():
        message = (
            f"{function}() runs Trio itself, again and again: call it from a plain "
            "function (def, not async def)"
        )
        raise RuntimeError(message)
