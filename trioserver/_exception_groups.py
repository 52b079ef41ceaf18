"""Take apart the exception groups that nurseries make."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeGuard

import trio


def split_errors(
    error: BaseException,
) -> tuple[Exception | None, BaseException | None]:
    """Split *error* into what a handler did wrong and what must go on.

    A handler that fails while it is cancelled raises a group of both: its own
    error is for ``handle_error()``, and the ``Cancelled`` belongs to Trio.

    Returns:
        The errors derived from `Exception`, and the rest: ``Cancelled``,
        ``KeyboardInterrupt``, ``SystemExit``. Either may be None.
    """
    if isinstance(error, Exception):
        return error, None
    if not _is_group(error):
        return None, error
    ours, rest = error.split(Exception)
    if ours is not None and len(ours.exceptions) == 1:
        return ours.exceptions[0], rest
    return ours, rest


@contextmanager
def un_nested() -> Generator[None]:
    """Raise the only error of a nursery as itself, not as a group of one.

    ``trio.run(server.serve)`` then raises a bare `KeyboardInterrupt` on Ctrl-C, and
    what ``handle_error()`` raised arrives as it was raised.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        single = _single(group)
        if single is None:
            raise
        raise_unchanged(single)


def _single(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """Return the one error in *group*, or the interrupt that all of it stands for."""
    for interrupt in (KeyboardInterrupt, SystemExit):
        matched, rest = group.split(interrupt)
        if matched is not None and rest is None:
            return next(leaves(matched))
    return group.exceptions[0] if len(group.exceptions) == 1 else None


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield *error*, or every error in it that is no group itself."""
    if _is_group(error):
        for child in error.exceptions:
            yield from leaves(child)
    else:
        yield error


def is_cancellation(error: BaseException) -> bool:
    """Whether *error* is nothing but Trio's ``Cancelled``."""
    return all(isinstance(leaf, trio.Cancelled) for leaf in leaves(error))


def _is_group(
    error: BaseException,
) -> TypeGuard[BaseExceptionGroup[BaseException]]:
    """Whether *error* is a group of others."""
    return isinstance(error, BaseExceptionGroup)


def raise_unchanged(error: BaseException) -> NoReturn:
    """Raise *error* with the context that it has, not with what is being handled."""
    context = error.__context__
    try:
        raise error
    finally:
        error.__context__ = context
        del error, context
