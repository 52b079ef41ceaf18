# ruff: noqa: S101  # pytest's asserts
from __future__ import annotations

import trio

from kit.programs import EXAMPLES, Program, running
from kit.serving import receive_line, reset_on_close

CHAT = str(EXAMPLES / "chat.py")


async def join(
    program: Program, name: bytes, *present: trio.SocketStream
) -> trio.SocketStream:
    """Return a new member, once everybody who is *present* has heard of them."""
    client = await program.connect()
    await client.send_all(name + b"\n")
    for member in (client, *present):
        assert await receive_line(member) == name + b" has come\n"
    return client


async def test_tells_everybody_what_one_says() -> None:
    async with (
        running(CHAT, "0") as program,
        await join(program, b"ann") as ann,
        await join(program, b"bob", ann) as bob,
        await join(program, b"cy", ann, bob) as cy,
    ):
        await ann.send_all(b"hello\n")
        heard = [await receive_line(member) for member in (ann, bob, cy)]
        await bob.send_all(b"hi\n")
        answers = [await receive_line(member) for member in (ann, bob, cy)]

    assert heard == [b"ann: hello\n"] * 3
    assert answers == [b"bob: hi\n"] * 3


async def test_tells_who_is_left_when_one_leaves() -> None:
    async with running(CHAT, "0") as program, await join(program, b"ann") as ann:
        async with await join(program, b"bob", ann):
            pass
        told = await receive_line(ann)

    assert told == b"bob has left\n"


async def test_tells_who_is_left_when_a_connection_breaks() -> None:
    async with running(CHAT, "0") as program, await join(program, b"ann") as ann:
        async with await join(program, b"bob", ann) as bob:
            reset_on_close(bob)
        told = await receive_line(ann)

    assert told == b"bob has left\n"


async def test_stops_cleanly_when_interrupted_with_members_inside() -> None:
    async with running(CHAT, "0") as program, await join(program, b"ann"):
        exit_code = await program.interrupt()

    assert exit_code == 0
