"""Which scenarios are played with which servers, and why others are not."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

import attrs

from proof.scenarios import SCENARIOS, Scenario
from proof.servers import SUBJECTS, Subject
from proof.stage import Stage
from trioserver.testing import Trial


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


@attrs.frozen
class Omission:
    """What does not apply."""

    cases: tuple[str, ...]
    """Patterns of names of cases."""
    reason: str


_CONNECTIONS: Final = ("half_close", "buffered_reply", "slow_client", "stopped_by_handler")

_WAYS_TO_SERVE: Final = (
    "served_twice",
    "start_up",
    "async_with",
    "nursery_elsewhere",
    "handle_request",
)

OMISSIONS: Final = (
    Omission(
        tuple(f"{name}-*-{one}" for name in ("UDP*", "*Datagram*") for one in _CONNECTIONS),
        "a datagram has no end, and no flow control but the queue of slow_peer",
    ),
    Omission(
        ("TCP*-slow_peer", "*Stream*-slow_peer"), "slow_client fills more than a queue"
    ),
    Omission(
        ("TCP*-truncated", "*Stream*-truncated"), "streams have no limit for one read"
    ),
    Omission(
        tuple(f"*-serve_socketserver-{name}" for name in _WAYS_TO_SERVE),
        "such an object is made by socketserver, and there is one way to drive it",
    ),
    Omission(
        ("*-serve_socketserver-truncated",), "socketserver does not know what was cut"
    ),
    Omission(
        ("*-forks-stopped_by_handler",), "a child has only a copy of the server"
    ),
    Omission(
        (
            "UDP*-threads-stopping_out_of_time",
            "*Datagram*-threads-stopping_out_of_time",
            "UDP*-serve_socketserver-stopping_out_of_time",
            "*Datagram*-serve_socketserver-stopping_out_of_time",
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
