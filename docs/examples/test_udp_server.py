# ruff: noqa: S101  # pytest's asserts
from __future__ import annotations

import signal

from kit.datagrams import open_unconnected
from kit.programs import EXAMPLES, ON_A_FREE_PORT, output_of, running
from kit.serving import receive_line

SERVER = (
    "-c",
    ON_A_FREE_PORT.replace("TCPServer", "UDPServer"),
    str(EXAMPLES / "udp_server.py"),
)

# Run as text, so that it can be told another port than its own.
CLIENT = (EXAMPLES / "udp_client.py").read_text()


async def test_the_client_prints_what_the_server_answers() -> None:
    async with running(*SERVER) as program:
        source = CLIENT.replace("9999", str(program.port))
        printed = await output_of("-c", source, "hello", "world", "with", "UDP")
        seen = [await receive_line(program.output) for _ in range(2)]

    assert printed.splitlines() == [
        "Sent:     hello world with UDP",
        "Received: HELLO WORLD WITH UDP",
    ]
    assert seen == [b"127.0.0.1 wrote:\n", b"hello world with UDP\n"]


async def test_is_ended_by_an_interrupt() -> None:
    async with running(*SERVER) as program:
        # It says where it listens before it serves; Ctrl-C is for when it does.
        with open_unconnected() as client:
            await client.sendto(b"hello", (program.host, program.port))
            assert await client.recv(100) == b"HELLO"
        exit_code = await program.interrupt()

    assert exit_code == -signal.SIGINT
