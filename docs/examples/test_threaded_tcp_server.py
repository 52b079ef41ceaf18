# ruff: noqa: S101  # pytest's asserts
from __future__ import annotations

from kit.programs import EXAMPLES, output_of


async def test_answers_each_client_in_a_thread() -> None:
    output = await output_of(str(EXAMPLES / "threaded_tcp_server.py"))

    assert output.splitlines() == [
        f"Received: trioserver: Hello World {number}" for number in (1, 2, 3)
    ]
