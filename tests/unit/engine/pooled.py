"""Requests that do what they are told, in tasks that can be looked at."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio
import trio.testing

from kit.serving import STUCK
from trioserver import BaseServer, StreamRequestHandler
from trioserver._engine.admission import Admission
from trioserver._engine.requests_in_flight import RequestsInFlight

Work = Callable[[], Awaitable[object]]


async def nothing() -> None:
    """Do nothing, and wait for nothing."""


class Worker(BaseServer):
    """Its requests are what they do."""

    def __init__(self) -> None:
        super().__init__("nowhere", StreamRequestHandler)
        self.errors: list[BaseException | None] = []

    async def process_request(self, request: Work, _client_address: object) -> None:
        await request()

    async def handle_error(self, _request: object, _client_address: object) -> None:
        self.errors.append(sys.exception())


class Requests:
    """Starts requests, and knows which tasks they have run in."""

    def __init__(self, *, are_short: bool) -> None:
        self.server = Worker()
        self.in_flight = RequestsInFlight(
            self.server, lambda: None, lambda: None, are_short=are_short
        )
        self.tasks: list[trio.lowlevel.Task] = []

    def start(self, *works: Work) -> None:
        for work in works:

            async def noting(work: Work = work) -> None:
                self.tasks.append(trio.lowlevel.current_task())
                await work()

            self.in_flight.start(noting, None, Admission(1).slot())

    async def run(self, *works: Work) -> None:
        """Start them at the same time, and let them run until they wait or end."""
        self.start(*works)
        await trio.testing.wait_all_tasks_blocked()

    @property
    def children(self) -> int:
        """How many tasks there are."""
        nursery = self.tasks[-1].parent_nursery
        assert nursery is not None
        return len(nursery.child_tasks)


@asynccontextmanager
async def requests(*, are_short: bool) -> AsyncIterator[Requests]:
    with trio.fail_after(STUCK):
        made = Requests(are_short=are_short)
        async with made.in_flight.open():
            yield made
