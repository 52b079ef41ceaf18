"""Taking the listen queue, on scripted requests."""

from __future__ import annotations

import errno
import math
from contextlib import nullcontext

import pytest
import trio

from trioserver._engine import accept_queue
from trioserver._engine.accept_failures import AcceptFailures
from trioserver._engine.admission import Admission, Slot
from trioserver._exceptions import ListenerBrokenError


class BadDescriptorError(OSError):
    """What a socket says that was closed."""

    def __init__(self) -> None:
        super().__init__(errno.EBADF, "bad descriptor")


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
        is_closed=lambda: False,
    )

    assert started == ["request"] * 3


@pytest.mark.parametrize("error", [trio.ClosedResourceError, BadDescriptorError])
@pytest.mark.parametrize("is_closed", [True, False])
async def test_a_queue_ends_with_the_server_and_with_a_broken_listener(
    error: type[Exception], is_closed: bool
) -> None:
    async def get_request() -> tuple[str, str]:
        await trio.lowlevel.checkpoint()
        raise error

    expected = (trio.ClosedResourceError, ListenerBrokenError)
    with nullcontext() if is_closed else pytest.raises(expected):
        await accept_queue.start_queued(
            lambda: True,
            get_request,
            lambda *_: None,
            admission=Admission(math.inf),
            max_wait=math.inf,
            failures=AcceptFailures(lambda: "here", lambda: False),
            is_closed=lambda: is_closed,
        )
