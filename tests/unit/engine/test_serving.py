"""One cycle of serving, without a server."""

from __future__ import annotations

import pytest
import trio

from trioserver._engine.lifecycle import State
from trioserver._engine.serving import Serving


def started() -> None:
    """Nobody waits for it here."""


async def test_a_closed_resource_after_a_stop_is_an_orderly_end() -> None:
    serving = Serving()

    async def accept() -> None:
        cycle.stop()
        raise trio.ClosedResourceError

    with serving.cycle() as cycle:
        await cycle.run(accept, started)

    assert serving.state is State.STOPPED


async def test_a_closed_resource_without_a_stop_is_an_error() -> None:
    serving = Serving()

    async def accept() -> None:
        raise trio.ClosedResourceError

    with serving.cycle() as cycle:
        with pytest.raises(trio.ClosedResourceError):
            await cycle.run(accept, started)

    assert serving.state is State.STOPPED
