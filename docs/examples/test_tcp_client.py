# ruff: noqa: S101  # pytest's asserts
from __future__ import annotations

import pytest

from kit.programs import EXAMPLES, ON_A_FREE_PORT, output_of, running

# Run as text, so that it can be told another port than its own.
CLIENT = (EXAMPLES / "tcp_client.py").read_text()


@pytest.mark.parametrize("name", ["tcp_server.py", "tcp_server_streams.py"])
async def test_prints_what_either_server_answers(name: str) -> None:
    server = ("-c", ON_A_FREE_PORT, str(EXAMPLES / name))

    async with running(*server) as program:
        source = CLIENT.replace("9999", str(program.port))
        printed = await output_of("-c", source, "hello", "world", "with", "TCP")

    assert printed.splitlines()[:2] == [
        "Sent:     hello world with TCP",
        "Received: HELLO WORLD WITH TCP",
    ]
