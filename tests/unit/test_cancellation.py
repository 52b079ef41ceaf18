"""Clean-up in a cancelled task: it happens, but not for ever."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trioserver._cancellation import cleanup_scope, is_cancelled, is_hurried


async def test_a_task_that_was_cancelled_is_cancelled_and_hurried() -> None:
    with trio.CancelScope() as scope:
        before = (is_cancelled(), is_hurried())
        scope.cancel()
        after = (is_cancelled(), is_hurried())

    assert before == (False, False)
    assert after == (True, True)


async def test_a_task_with_a_deadline_ahead_is_hurried_only() -> None:
    with trio.move_on_after(1000):
        assert (is_cancelled(), is_hurried()) == (False, True)


async def test_a_task_whose_deadline_has_passed_is_cancelled(
    mock_clock: trio.testing.MockClock,
) -> None:
    with trio.move_on_after(5):
        mock_clock.jump(5)

        assert is_cancelled()


async def test_a_shield_keeps_a_cancellation_away() -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        with trio.CancelScope(shield=True):
            assert (is_cancelled(), is_hurried()) == (False, False)


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
