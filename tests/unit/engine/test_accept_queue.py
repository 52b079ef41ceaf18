"""Taking the listen queue, on scripted requests."""

from __future__ import annotations

import math

import pytest
import trio

from trioserver._engine import accept_queue
from trioserver._engine.accept_failures import AcceptFailures
from trioserver._engine.admission import Admission, Slot


async def test_a_queue_that_never_ends_is_left_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[object] = []

    async def get_request() -> tuple[str, str]:
        await trio.lowlevel.checkpoint()
        return "request", "address"

    def start(request: object, client_address: object, slot: Slot) -> None:
        started.append(request)

    monkeypatch.setattr(accept_queue, "MAX_QUEUED", 3)
    await accept_queue.start_queued(
        lambda: True,
        get_request,
        start,
        admission=Admission(math.inf),
        max_wait=math.inf,
        failures=AcceptFailures(lambda: "here", lambda: False),
    )

    assert started == ["request"] * 3
