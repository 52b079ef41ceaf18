"""What fails, fails in the process that serves, and not in its children."""

from __future__ import annotations

from kit.serving import LOOPBACK, STUCK, connect, receive_line
from kit.threads import UpperThreadHandler
from trioserver import ForkingTCPServer, TCPServer
from trioserver.testing import Trial, fail_everywhere


async def ask(server: TCPServer) -> None:
    """Insist on a reply."""
    async with await connect(server) as client:
        await client.send_all(b"hello\n")
        await client.send_eof()
        assert await receive_line(client) == b"HELLO\n"


async def play(trial: Trial) -> None:
    async with trial.serving(ForkingTCPServer(LOOPBACK, UpperThreadHandler)) as server:
        await ask(server)


def test_a_child_reads_as_ever() -> None:
    report = fail_everywhere(
        play, operations=["close", "recv_into"], hang_seconds=STUCK
    )

    report.check()
    assert report.tried["fault"] > 3
