# ruff: noqa: S101  # pytest's asserts
from __future__ import annotations

from kit.programs import EXAMPLES, running
from kit.serving import ask, receive_all

ECHO = str(EXAMPLES / "echo.py")


async def test_sends_everything_back() -> None:
    async with running(ECHO, "0") as program, await program.connect() as client:
        await client.send_all(b"hello\n" * 1000)
        await client.send_eof()
        reply = await receive_all(client)

    assert reply == b"hello\n" * 1000


async def test_stops_cleanly_when_interrupted() -> None:
    async with running(ECHO, "0") as program:
        async with await program.connect() as client:
            await ask(client, b"are you there?\n")
        exit_code = await program.interrupt()

    assert exit_code == 0
