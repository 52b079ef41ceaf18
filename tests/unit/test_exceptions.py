"""The errors: each is also what a user of either library would catch."""

from __future__ import annotations

import pickle

import pytest
import trio

import trioserver
from trioserver import (
    AlreadyServingError,
    ConnectionLostError,
    IncompleteReadError,
    LimitOverrunError,
    ListenerBrokenError,
    RequestTimeoutError,
    ServerClosedError,
    ServerError,
)


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (ServerClosedError, (trio.ClosedResourceError,)),
        (AlreadyServingError, (RuntimeError,)),
        (ListenerBrokenError, (OSError,)),
        (ConnectionLostError, (trio.BrokenResourceError, ConnectionError)),
        (RequestTimeoutError, (trio.TooSlowError, TimeoutError)),
        (IncompleteReadError, (EOFError,)),
        (LimitOverrunError, (ValueError,)),
    ],
)
def test_is_also_what_others_would_catch(
    error: type[Exception], bases: tuple[type[Exception], ...]
) -> None:
    assert issubclass(error, ServerError)
    for base in bases:
        assert issubclass(error, base)


def test_a_lost_connection_has_its_number_and_text() -> None:
    error = ConnectionLostError(104, "Connection reset by peer")

    assert error.errno == 104
    assert str(error) == "[Errno 104] Connection reset by peer"


@pytest.mark.parametrize(
    "error",
    [
        ConnectionLostError(104, "reset"),
        IncompleteReadError(b"part", "the rest"),
        LimitOverrunError("too long", 3, 5),
    ],
    ids=lambda error: type(error).__name__,
)
def test_survives_being_pickled(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own  # our own

    assert type(copy) is type(error)
    assert str(copy) == str(error)


def test_every_error_is_public() -> None:
    errors = set(ServerError.__subclasses__()) | {ServerError}

    assert {error.__name__ for error in errors} <= set(trioserver.__all__)
