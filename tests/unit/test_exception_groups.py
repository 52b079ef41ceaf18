"""Exception groups: taken apart without losing anything."""

from __future__ import annotations

import pytest

from trioserver._exception_groups import leaves, split_errors, un_nested

ERROR = ValueError("a handler's error")
OTHER = KeyError("another")
INTERRUPT = KeyboardInterrupt()
EXIT = SystemExit(3)


def group(*errors: BaseException) -> BaseExceptionGroup[BaseException]:
    return BaseExceptionGroup("group", errors)


def flat(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else list(leaves(error))


# Splitting


@pytest.mark.parametrize("error", [ERROR, ExceptionGroup("group", [ERROR, OTHER])])
def test_an_exception_is_all_the_handlers(error: Exception) -> None:
    assert split_errors(error) == (error, None)


@pytest.mark.parametrize("error", [INTERRUPT, EXIT])
def test_what_is_no_exception_goes_on(error: BaseException) -> None:
    assert split_errors(error) == (None, error)


def test_a_mixed_group_is_split() -> None:
    ours, rest = split_errors(group(ERROR, group(INTERRUPT, OTHER)))

    assert isinstance(ours, Exception)
    assert flat(ours) == [ERROR, OTHER]
    assert flat(rest) == [INTERRUPT]


def test_a_group_of_interrupts_goes_on_whole() -> None:
    error = group(INTERRUPT, EXIT)

    ours, rest = split_errors(error)

    assert ours is None
    assert flat(rest) == [INTERRUPT, EXIT]


# Leaves


def test_a_single_error_is_its_own_leaf() -> None:
    assert list(leaves(ERROR)) == [ERROR]


def test_leaves_come_from_every_depth_in_order() -> None:
    nested = group(ERROR, group(group(INTERRUPT), OTHER))

    assert list(leaves(nested)) == [ERROR, INTERRUPT, OTHER]


# Un-nesting


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (group(ERROR), ERROR),
        (group(INTERRUPT), INTERRUPT),
        (group(INTERRUPT, INTERRUPT), INTERRUPT),
        (group(group(EXIT), group(EXIT, EXIT)), EXIT),
        (ERROR, ERROR),
        (INTERRUPT, INTERRUPT),
    ],
)
def test_raises_the_only_error_as_itself(
    error: BaseException, expected: BaseException
) -> None:
    with pytest.raises(type(expected)) as caught:
        with un_nested():
            raise error

    assert caught.value is expected


@pytest.mark.parametrize(
    "error", [group(ERROR, OTHER), group(INTERRUPT, EXIT), group(INTERRUPT, ERROR)]
)
def test_keeps_a_group_of_several(error: BaseExceptionGroup[BaseException]) -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        with un_nested():
            raise error

    assert caught.value is error


def test_keeps_a_group_that_a_handler_made() -> None:
    inner = group(ERROR, OTHER)

    with pytest.raises(BaseExceptionGroup) as caught:
        with un_nested():
            raise group(inner)

    assert caught.value is inner


def test_raises_nothing_of_its_own() -> None:
    with un_nested():
        pass


def test_keeps_the_context_that_an_error_had() -> None:
    error = ValueError("later")
    error.__context__ = OTHER

    with pytest.raises(ValueError, match="later"):
        with un_nested():
            raise group(error)

    assert error.__context__ is OTHER


def test_adds_no_context_of_its_own() -> None:
    error = ValueError("first")

    with pytest.raises(ValueError, match="first"):
        with un_nested():
            raise group(error)

    assert error.__context__ is None
