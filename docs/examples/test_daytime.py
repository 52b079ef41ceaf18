# ruff: noqa: S101  # pytest's asserts
from __future__ import annotations

from datetime import UTC, datetime

from kit.programs import EXAMPLES, running
from kit.serving import receive_all

DAYTIME = str(EXAMPLES / "daytime.py")


async def test_tells_the_time_and_hangs_up() -> None:
    before = datetime.now(UTC).replace(microsecond=0)

    async with running(DAYTIME, "0") as program, await program.connect() as client:
        reply = await receive_all(client)

    told = datetime.strptime(reply.decode() + "+0000", "%Y-%m-%d %H:%M:%S UTC\r\n%z")
    assert before <= told <= datetime.now(UTC)


async def test_stops_cleanly_when_interrupted() -> None:
    async with running(DAYTIME, "0") as program:
        async with await program.connect() as client:
            await receive_all(client)
        exit_code = await program.interrupt()

    assert exit_code == 0
