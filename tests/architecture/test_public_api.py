"""What the package exports, and under which name."""

from __future__ import annotations

import pickle
import socketserver
from types import ModuleType

import pytest

import trioserver
import trioserver.testing

NAMES = [
    (module, name)
    for module in (trioserver, trioserver.testing)
    for name in module.__all__
    if name != "Kind"  # no class, but a type
]


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_every_public_class_says_where_it_lives(module: ModuleType, name: str) -> None:
    public = getattr(module, name)

    assert public.__module__ == module.__name__
    assert public.__qualname__ == name


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_every_public_class_is_documented(module: ModuleType, name: str) -> None:
    assert getattr(module, name).__doc__


def test_nothing_else_is_public() -> None:
    public = {name for name in vars(trioserver) if not name.startswith("_")}

    # "from __future__ import annotations" leaves its name behind, and so does the test
    # kit, a package of its own, once it was imported.
    assert public - {"annotations", "testing"} == set(trioserver.__all__)


def test_nothing_else_of_the_test_kit_is_public() -> None:
    public = {name for name in vars(trioserver.testing) if not name.startswith("_")}

    # The plugin is there once something has asked for it.
    assert public - {"annotations", "pytest_plugin"} == set(trioserver.testing.__all__)


@pytest.mark.parametrize(
    "name", sorted(set(trioserver.__all__) & set(socketserver.__all__))
)
def test_classes_of_socketserver_have_the_same_bases(name: str) -> None:
    ours, theirs = getattr(trioserver, name), getattr(socketserver, name)

    assert [base.__name__ for base in ours.__bases__] == [
        base.__name__ for base in theirs.__bases__
    ]


@pytest.mark.parametrize(
    "error",
    [
        trioserver.ConnectionLostError(104, "reset"),
        trioserver.IncompleteReadError(b"part", "the rest"),
        trioserver.LimitOverrunError("too long", 10, 11),
        trioserver.RequestTimeoutError("slow"),
        trioserver.ServerClosedError("closed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_a_journey(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes

    assert type(copy) is type(error)
    assert copy.args == error.args
    assert str(copy) == str(error)


@pytest.mark.parametrize(
    "name", [name for name in trioserver.__all__ if name.endswith("Error")]
)
def test_every_error_is_a_server_error(name: str) -> None:
    assert issubclass(getattr(trioserver, name), trioserver.ServerError)
