"""Every check, by its name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import attrs

from soak.bench import Bench
from soak.checks.accepted_requests import check_accepted_requests
from soak.checks.descriptor_exhaustion import check_descriptor_exhaustion
from soak.checks.fuzzed_parsers import check_fuzzed_parsers
from soak.checks.garbage import check_garbage
from soak.checks.hostile_text import check_hostile_text
from soak.checks.resetting_clients import check_resetting_clients
from soak.checks.slow_clients import check_slow_clients
from soak.checks.system_faults import check_system_faults
from soak.checks.udp_flood import check_udp_flood
from soak.verdicts import Outcome


@attrs.frozen
class Check:
    """One of them."""

    name: str
    title: str
    """What it does, in a line."""

    run: Callable[[Bench], Awaitable[Outcome]]


CHECKS: Final[dict[str, Check]] = {
    check.name: check
    for check in (
        Check(
            "slow-clients",
            "thousands that send a byte a second, nothing, or do not read",
            check_slow_clients,
        ),
        Check(
            "resetting-clients",
            "hundreds of thousands that reset at random moments",
            check_resetting_clients,
        ),
        Check(
            "descriptor-exhaustion",
            "more clients than the server may have open files",
            check_descriptor_exhaustion,
        ),
        Check(
            "garbage",
            "random bytes, datagrams and descriptors for every kind of server",
            check_garbage,
        ),
        Check(
            "fuzzed-parsers",
            "made-up input for whatever parses, by Hypothesis and by atheris",
            check_fuzzed_parsers,
        ),
        Check(
            "accepted-requests",
            "a thousand shutdowns under load: who was accepted is answered",
            check_accepted_requests,
        ),
        Check(
            "hostile-text",
            "text from clients that would forge log lines and drive terminals",
            check_hostile_text,
        ),
        Check(
            "udp-flood",
            "floods of datagrams, and forged ones from the server's own address",
            check_udp_flood,
        ),
        Check(
            "system-faults",
            "calls of the system that fail, one after the other, by strace",
            check_system_faults,
        ),
    )
}
