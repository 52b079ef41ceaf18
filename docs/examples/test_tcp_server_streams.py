# ruff: noqa: S101  # pytest's asserts
from __future__ import annotations

import signal

from kit.programs import EXAMPLES, ON_A_FREE_PORT, running
from kit.serving import receive_all, receive_line

SERVER = ("-c", ON_A_FREE_PORT, str(EXAMPLES / "tcp_server_streams.py"))


async def test_answers_in_upper_case() -> None:
    async with running(*SERVER) as program, await program.connect() as client:
        await client.send_all(b"hello ")
        await client.send_all(b"world\n")
        reply = await receive_all(client)

    assert reply == b"HELLO WORLD"


async def test_prints_what_it_was_sent() -> None:
    async with running(*SERVER) as program, await program.connect() as client:
        await client.send_all(b"hello\n")
        printed = [await receive_line(program.output) for _ in range(2)]

    assert printed == [b"127.0.0.1 wrote:\n", b"hello\n"]


async def test_is_done_with_a_client_who_leaves_in_the_middle_of_a_line() -> None:
    async with running(*SERVER) as program, await program.connect() as client:
        await client.send_all(b"hello")
        await client.send_eof()
        reply = await receive_all(client)

    assert reply == b"HELLO"


async def test_is_ended_by_an_interrupt() -> None:
    async with running(*SERVER) as program:
        # It says where it listens before it serves; Ctrl-C is for when it does.
        async with await program.connect() as client:
            await client.send_all(b"hello\n")
            await receive_all(client)
        exit_code = await program.interrupt()

    assert exit_code == -signal.SIGINT
