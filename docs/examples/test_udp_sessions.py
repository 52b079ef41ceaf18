# ruff: noqa: S101  # pytest's asserts
from __future__ import annotations

import runpy

from kit.datagrams import ask, open_client, open_unconnected
from kit.programs import EXAMPLES, running
from kit.serving import LOOPBACK, eventually, serving

SUMS = str(EXAMPLES / "udp_sessions.py")


async def test_adds_up_for_each_client() -> None:
    async with running(SUMS, "0") as program:
        with open_unconnected() as one, open_unconnected() as other:
            for client in (one, other):
                await client.connect((program.host, program.port))
            await one.send(b"not a number")
            sums = [
                await ask(one, b"1\n"),
                await ask(other, b"10"),
                await ask(one, b"2"),
            ]
        exit_code = await program.interrupt()

    assert sums == [b"1\n", b"10\n", b"3\n"]
    assert exit_code == 0


async def test_says_good_bye_to_who_is_silent() -> None:
    example = runpy.run_path(SUMS)
    server = example["SumServer"](LOOPBACK, example["SumHandler"])
    server.session_timeout = 0.01

    async with serving(server):
        with open_client(server) as client:
            await ask(client, b"5")
            farewell = await client.recv(100)
            await eventually(lambda: not server.requests_in_flight)

    assert farewell == b"5 in all, bye\n"
