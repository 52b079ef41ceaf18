"""Clean-up in a cancelled task: it happens, but not for ever."""

from __future__ import annotations

import math

import pytest
import trio
import trio.testing

from trioserver._cancellation import cleanup_scope, is_cancelled, time_left


async def test_a_task_that_was_cancelled_has_no_time_left() -> None:
    async with trio.open_nursery() as nursery:
        before = (is_cancelled(), time_left())
        nursery.cancel_scope.cancel()
        after = (is_cancelled(), time_left())

    assert before == (False, math.inf)
    assert after == (True, 0)


async def test_a_task_with_a_deadline_ahead_has_the_time_until_then(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.deadline = 1000

        assert (is_cancelled(), time_left()) == (False, 1000)


async def test_a_task_whose_deadline_has_passed_is_cancelled(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.deadline = 5
        mock_clock.jump(7)

        assert (is_cancelled(), time_left()) == (True, 0)


async def test_a_shield_keeps_a_cancellation_away() -> None:
    async with trio.open_nursery() as outer:
        outer.cancel_scope.cancel()
        async with trio.open_nursery() as inner:
            inner.cancel_scope.shield = True

            assert (is_cancelled(), time_left()) == (False, math.inf)


async def test_cleaning_up_a_cancelled_task_may_wait() -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        with cleanup_scope(1):
            await trio.lowlevel.checkpoint()
            waited = True

    assert waited


async def test_cleaning_up_a_cancelled_task_is_given_up_after_its_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        with cleanup_scope(1):
            await trio.sleep_forever()

    assert trio.current_time() == 1


async def test_cleaning_up_another_task_has_no_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with cleanup_scope(1):
        await trio.sleep(100)

    assert trio.current_time() == 100


async def test_cleaning_up_another_task_can_still_be_cancelled() -> None:
    with trio.CancelScope() as scope:
        with cleanup_scope(1):
            scope.cancel()
            with pytest.raises(trio.Cancelled):
                await trio.lowlevel.checkpoint()
