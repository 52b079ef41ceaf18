# ruff: noqa: S101  # pytest's asserts
from __future__ import annotations

import pytest
import trio

from kit.datagrams import open_unconnected, receive_nowait
from kit.programs import EXAMPLES, Program, running

RESPONDER = str(EXAMPLES / "dns_responder.py")


async def dig(program: Program, *question: str) -> str:
    """Ask *program* with the real dig."""
    server = [f"@{program.host}", "-p", str(program.port), "+tries=3", "+time=5"]
    done = await trio.run_process(["dig", *server, *question], capture_stdout=True)
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (("www.zone.test", "A"), "192.0.2.80\n"),
        (("WWW.Zone.Test", "AAAA"), "2001:db8::80\n"),
        (("zone.test", "TXT"), '"hello from trioserver"\n'),
        (("zone.test", "MX"), ""),
    ],
)
async def test_answers_dig(question: tuple[str, str], answer: str) -> None:
    async with running(RESPONDER, "0") as program:
        assert await dig(program, *question, "+short") == answer


async def test_tells_dig_that_there_is_no_such_name() -> None:
    async with running(RESPONDER, "0") as program:
        assert "status: NXDOMAIN" in await dig(program, "no.zone.test", "A")


async def test_answers_no_answers_and_no_noise() -> None:
    async with running(RESPONDER, "0") as program:
        with open_unconnected() as client:
            address = (program.host, program.port)
            await client.sendto(b"noise", address)
            await client.sendto(b"\0\1\x80" + bytes(9), address)
            # Both are behind it; what is answered is this.
            answer = await dig(program, "www.zone.test", "A", "+short")
            reply = receive_nowait(client)

    assert answer == "192.0.2.80\n"
    assert reply is None
