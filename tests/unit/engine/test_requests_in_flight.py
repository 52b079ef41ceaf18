"""The nursery of the requests, without a server."""

from __future__ import annotations

import pytest
import trio

from trioserver import BaseServer, StreamRequestHandler
from trioserver._engine.admission import Admission
from trioserver._engine.requests_in_flight import RequestsInFlight


def make_requests() -> RequestsInFlight:
    return RequestsInFlight(
        BaseServer("nowhere", StreamRequestHandler), lambda: None, lambda: None
    )


async def test_no_request_starts_before_it_is_open_or_after_a_cancellation() -> None:
    requests = make_requests()
    slot = Admission(1).slot()

    with pytest.raises(trio.ClosedResourceError, match="stopping"):
        requests.start("request", "address", slot)
    async with requests.open():
        requests.cancel()
        with pytest.raises(trio.ClosedResourceError, match="stopping"):
            requests.start("request", "address", slot)

    assert len(requests) == 0
