"""Run what waits for connections in both of the ways there are."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from kit.layers import LAYERS
from unit.streams.pairs import waiting_by


@pytest.fixture(params=LAYERS)
def readiness(request: pytest.FixtureRequest) -> str:
    """Let connections wait as Trio does, or by an epoll of their own."""
    way: str = request.param
    return way


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the poller around the tests that wait by it.

    A fixture cannot: one that no test names as an argument is no part of its Trio run.
    """
    for item in items:
        if isinstance(item, pytest.Function) and _waits_by_edges(item):
            item.obj = _by_edges(item.obj)


def _waits_by_edges(item: pytest.Function) -> bool:
    # All items of the session come by here, also those of other directories.
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return parameters.get("readiness") == "edges" and inspect.iscoroutinefunction(
        item.obj
    )


# Of whatever fixtures it takes.
Test: TypeAlias = Callable[..., Awaitable[None]]  # type: ignore[explicit-any]  # see above


def _by_edges(test: Test) -> Test:
    @functools.wraps(test)
    async def run(**fixtures: object) -> None:
        async with waiting_by("edges"):
            await test(**fixtures)

    return run
