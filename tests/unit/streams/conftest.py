"""Run what waits for connections in both of the ways there are."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from trioserver._streams.edge_poller import EdgePoller
from unit.streams.pairs import poller


@pytest.fixture(params=["portable", "edges"])
def readiness(request: pytest.FixtureRequest) -> str:
    """Let connections wait as Trio does, or by an epoll of their own."""
    way: str = request.param
    return way


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the poller around the tests that wait by it.

    A fixture cannot: one that no test names as an argument is no part of its Trio run.
    """
    for item in items:
        if isinstance(item, pytest.Function) and "[edges" in item.name:
            item.obj = _by_edges(item.obj)


# Of whatever fixtures it takes.
Test: TypeAlias = Callable[..., Awaitable[None]]  # type: ignore[explicit-any]  # see above


def _by_edges(test: Test) -> Test:
    @functools.wraps(test)
    async def run(**fixtures: object) -> None:
        edges = EdgePoller()
        async with edges.running():
            poller.set(edges)
            await test(**fixtures)

    return run
