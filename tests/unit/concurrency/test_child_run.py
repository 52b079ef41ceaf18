"""A Trio run that signals cancel."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest
import trio

from kit.serving import STUCK
from trioserver._concurrency.child_run import ChildRun, TerminatedError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Keep the handlers of this process, which is no child."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, TerminatedError)],
)
def test_a_signal_before_the_run_has_begun_cancels_it(
    number: signal.Signals, error: type[BaseException]
) -> None:
    run = ChildRun(trio.sleep_forever)

    run._note_signal(number, None)

    with pytest.raises(error):
        run.run()


def test_a_signal_after_the_run_has_ended_counts_as_well() -> None:
    run = ChildRun(trio.lowlevel.checkpoint)
    run.run()

    run._note_signal(signal.SIGTERM, None)

    assert isinstance(run._interrupt, TerminatedError)


def test_a_signal_that_another_thread_gets_cancels_the_run() -> None:
    ends: list[type[BaseException]] = []

    async def wait() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        try:
            await trio.sleep(STUCK)
        except trio.Cancelled as error:
            ends.append(type(error))
            raise

    with pytest.raises(TerminatedError):
        ChildRun(wait).run()
    assert ends == [trio.Cancelled]


def test_raises_what_the_function_raises() -> None:
    async def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        ChildRun(fail).run()
