"""Which scenarios are played with which servers, and why others are not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from fnmatch import fnmatchcase
from typing import Final, TypeAlias

import attrs
import trio

from kit.serving import STUCK
from proof.scenarios import SCENARIOS, Scenario
from proof.servers import SUBJECTS, Subject
from proof.stage import Stage
from trioserver import BaseServer
from trioserver._testing.errnos import ERRNOS
from trioserver.testing import Trial

Probe: TypeAlias = Callable[[BaseServer], Awaitable[None]]


@attrs.frozen
class Case:
    """One scenario with one server."""

    subject: Subject
    scenario: Scenario

    def __str__(self) -> str:
        return f"{self.subject}-{self.scenario.name}"

    async def play(self, trial: Trial) -> None:
        """Play it once."""
        await self.scenario.play(Stage(trial, self.subject))

    @property
    def operations(self) -> frozenset[str] | None:
        """What may fail of what is done with sockets; None: everything."""
        return _OPERATIONS - _OF_THE_OBJECT if self.subject.is_driven else None

    @property
    def probe(self) -> Probe | None:
        """A fresh client, if the server still serves when the scenario is over."""
        return self._ask if self.scenario.name in _SERVES_ON else None

    async def _ask(self, server: BaseServer) -> None:
        stage = Stage(Trial(), self.subject)
        with trio.fail_after(STUCK):
            await stage.ask(server, b"hello\n")


@attrs.frozen
class Omission:
    """What does not apply."""

    cases: tuple[str, ...]
    """Patterns of names of cases."""
    reason: str


_OPERATIONS: Final = frozenset(operation for operation, _ in ERRNOS)

# An object of socketserver's is asked whether it listens, and closes its socket by
# itself: what fails there, it raises as it does in socketserver.
_OF_THE_OBJECT: Final = frozenset({"close", "getsockopt"})

# What everybody may ask, and is answered, whoever was there before.
_SERVES_ON: Final = frozenset(
    {
        "reply",
        "keep_alive",
        "pipelining",
        "half_close",
        "slow_peer",
        "full",
        "truncated",
        "failing_finish",
        "address_in_use",
        "served_twice",
        "async_with",
        "nursery_elsewhere",
    }
)

_CONNECTIONS: Final = (
    "vanishing_clients",
    "half_close",
    "buffered_reply",
    "slow_client",
    "stopped_by_handler",
    "handler_that_asks",
    "daemon_that_asks",
    "stopping_full",
)

_WAYS_TO_SERVE: Final = (
    "served_twice",
    "start_up",
    "async_with",
    "nursery_elsewhere",
    "handle_request",
)


def _of(subjects: tuple[str, ...], *scenarios: str) -> tuple[str, ...]:
    return tuple(f"{subject}-{name}" for subject in subjects for name in scenarios)


_DATAGRAMS: Final = ("UDP*", "*Datagram*")
_STREAMS: Final = ("TCP*", "*Stream*")
_DRIVEN: Final = "*-serve_socketserver*"

OMISSIONS: Final = (
    Omission(
        _of(_DATAGRAMS, *_CONNECTIONS),
        "a datagram has no end, no promise in the queue, and no flow control but that "
        "of slow_peer",
    ),
    Omission(_of(_STREAMS, "slow_peer"), "slow_client fills more than a queue"),
    Omission(_of(_STREAMS, "truncated"), "streams have no limit for one read"),
    Omission(
        _of((_DRIVEN,), *_WAYS_TO_SERVE),
        "such an object is made by socketserver, and there is one way to drive it",
    ),
    Omission(_of((_DRIVEN,), "truncated"), "socketserver does not know what was cut"),
    Omission(
        ("*-serve_socketserver-one-by-one-full",), "one at a time is what it is anyway"
    ),
    Omission(
        ("*-serve_socketserver-overridden-refused",), "it overrides verify_request()"
    ),
    Omission(("*-forks*-stopped_by_handler",), "a child has only a copy of the server"),
    Omission(
        _of(("*-tasks*", "*-forks*", _DRIVEN), "handler_that_asks", "daemon_that_asks"),
        "only in a thread somebody has to wait for Trio",
    ),
    Omission(
        _of(("*-tasks*", "*-forks*", "*-threads"), "left_open"),
        "serve() closes in the end; async_with has serve_forever()",
    ),
    Omission(
        _of(("UDP*-threads", "*Datagram*-threads"), "stopping_out_of_time")
        + _of(
            ("UDP*-serve_socketserver*", "*Datagram*-serve_socketserver"),
            "stopping_out_of_time",
        ),
        "a thread that waits for no connection cannot be interrupted, and is joined",
    ),
)


def _all_cases() -> Iterator[Case]:
    for subject in SUBJECTS:
        for scenario in SCENARIOS.values():
            yield Case(subject, scenario)


def is_omitted(case: Case, *omissions: Omission) -> bool:
    """Whether one of *omissions* names *case*."""
    return any(
        fnmatchcase(str(case), pattern)
        for omission in omissions
        for pattern in omission.cases
    )


ALL_CASES: Final = list(_all_cases())

MATRIX: Final = [case for case in ALL_CASES if not is_omitted(case, *OMISSIONS)]

FAILING_OMISSIONS: Final = (
    Omission(("*-handle_request",), "a call takes one request, or one failure"),
    Omission(
        (
            "*-truncated",
            "*-stopping_out_of_time",
            "*-forks*-failing_handler",
            "*-forks*-failing_finish",
            "UDPSessionServer-*-full",
        ),
        "it is to be in the log, as a warning",
    ),
)

FAILING_MATRIX: Final = [
    case for case in MATRIX if not is_omitted(case, *FAILING_OMISSIONS)
]
