"""Clean-up in a cancelled task: it happens, but not for ever."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trioserver._cancellation import cleanup_scope, is_cancelled, is_hurried


def state() -> tuple[bool, bool]:
    return is_cancelled(), is_hurried()


async def test_a_task_that_was_cancelled_is_cancelled_and_hurried() -> None:
    async with trio.open_nursery() as nursery:
        before = state()
        nursery.cancel_scope.cancel()
        after = state()

    assert before == (False, False)
    assert after == (True, True)


async def test_a_task_with_a_deadline_ahead_is_hurried_only() -> None:
    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.deadline = trio.current_time() + 1000

        assert state() == (False, True)


async def test_a_task_whose_deadline_has_passed_is_cancelled(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.deadline = 5
        mock_clock.jump(5)

        assert state() == (True, True)


async def test_a_shield_keeps_a_cancellation_away() -> None:
    async with trio.open_nursery() as outer:
        outer.cancel_scope.cancel()
        async with trio.open_nursery() as inner:
            inner.cancel_scope.shield = True

            assert state() == (False, False)


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
