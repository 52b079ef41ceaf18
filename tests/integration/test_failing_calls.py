"""What a server does when a call of the system fails that hardly ever does."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from kit.datagrams import UpperDatagramHandler
from kit.fault_scenarios import CASES, LATER
from kit.serving import (
    LOOPBACK,
    STUCK,
    UpperHandler,
    ask,
    connect,
    receive_line,
    serving,
)
from trioserver import TCPServer, UnixDatagramServer
from trioserver.testing import fail_everywhere

# What each of the calls did before: close(2) took the place of the error that said what
# was wrong, or ended a server that had done its work; epoll_ctl(2) ended all servers
# that it told anything; setsockopt(2) and listen(2) made the queue be reset.
SELDOM = [
    ("keep alive", "close"),
    ("keep alive", "accept"),
    ("UDP", "close"),
    ("keep alive", "epoll_create"),
    ("keep alive", "epoll_ctl_add"),
    ("keep alive", "epoll_ctl_del"),
    ("keep alive, without edges", "epoll_ctl_add"),
    ("slow clients", "epoll_ctl_mod"),
    ("slow clients, without edges", "epoll_ctl_mod"),
    ("requests ahead of a slow client", "epoll_ctl_mod"),
    ("stopping with a queue", "setsockopt"),
    ("handle_request, UDP sessions", "recvfrom"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "operation"), SELDOM)
def test_serves_on_although_something_fails_that_seldom_does(
    name: str, operation: str
) -> None:
    case = (CASES | LATER)[name]

    report = fail_everywhere(case.play, probe=case.probe, operations=[operation])

    report.check()


@pytest.mark.parametrize("edge_triggered", [True, False])
async def test_urgent_data_keeps_nothing_from_being_read(
    *, edge_triggered: bool
) -> None:
    server = TCPServer(LOOPBACK, UpperHandler)
    server.edge_triggered = edge_triggered
    async with serving(server), await connect(server) as client:
        # From now on, the server waits for an edge.
        assert await ask(client, b"hello\n") == b"HELLO\n"
        with socket.socket(fileno=os.dup(client.socket.fileno())) as raw:
            raw.send(b"before\n")
            raw.send(b"!", socket.MSG_OOB)
            raw.send(b"after\n")

        assert await receive_line(client) == b"BEFORE\n"
        assert await receive_line(client) == b"AFTER\n"


@pytest.mark.parametrize("becomes", ["a stream socket", "below a file", "a loop"])
async def test_a_client_on_a_unix_socket_cannot_fill_the_log(
    becomes: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "trioserver")
    directory = tmp_path / "clients"
    directory.mkdir()
    name = directory / "client"
    server = UnixDatagramServer(tmp_path / "x.sock", UpperDatagramHandler)
    with socket.socket(socket.AF_UNIX) as other, bound(name) as client:
        client.sendto(b"hello", str(server.server_address))
        name.unlink()
        if becomes == "a stream socket":
            other.bind(str(name))
        elif becomes == "a loop":
            name.symlink_to(name)
        else:
            directory.rmdir()
            directory.touch()
        async with serving(server):
            with trio.fail_after(STUCK):
                while server.statistics().received == 0:
                    await trio.lowlevel.checkpoint()

    levels = [record.levelno for record in caplog.records]
    assert levels == [logging.DEBUG]


def bound(name: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(name))
    return sock
