"""Finish what is awaitable without Trio, as long as it need not wait."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from trioserver._concurrency.synchronous_view import DONE, Done, complete


class Awaited:
    """Waits as often as it is told to."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __await__(self) -> Iterator[None]:
        return iter([None] * self.times)


class Closed(Awaited):
    """Notes that it was closed."""

    is_closed = False

    def __await__(self) -> Iterator[None]:
        try:
            yield from super().__await__()
        finally:
            self.is_closed = True


async def wait_for(awaited: Awaited | Done) -> None:
    await awaited  # type: ignore[misc]  # an iterator is enough for Python


@pytest.mark.parametrize(
    "result",
    [None, 5, DONE, Awaited(0), Closed(0), wait_for(Closed(0))],
    ids=["None", "number", "done", "awaitable", "closed", "coroutine"],
)
def test_finishes_what_need_not_wait(result: object) -> None:
    assert complete(result) is DONE


def test_done_can_be_awaited() -> None:
    assert complete(wait_for(DONE)) is DONE


def test_refuses_what_waits_and_closes_it() -> None:
    awaited = Closed(1)

    with pytest.raises(TypeError, match=r"^wait_for has to wait for something"):
        complete(wait_for(awaited))

    assert awaited.is_closed


def test_refuses_what_waits_and_cannot_be_closed() -> None:
    with pytest.raises(TypeError, match=r"^Awaited has to wait for something"):
        complete(Awaited(1))
