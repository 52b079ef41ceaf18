"""The file of a Unix server, when processes are killed, fork, or race."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.serving import UpperHandler
from kit.unix_sockets import names_in, run_program
from trioserver import UnixStreamServer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.sock"


SERVER = """
import os, signal, sys, trioserver
async def handle(request, client_address, server): ...
server = trioserver.UnixStreamServer("x.sock", handle, bind_and_activate=False)
server.server_bind()
if sys.argv[1] == "listening":
    server.server_activate()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("state", "left"), [("bound", 1), ("listening", 1)])
async def test_starts_again_after_a_predecessor_was_killed(
    path: Path, state: str, left: int
) -> None:
    await run_program(SERVER, state, directory=path.parent)
    leftovers = names_in(path.parent)

    with UnixStreamServer(path, UpperHandler):
        assert names_in(path.parent) == ["x.sock"]

    assert len(leftovers) == left
    assert names_in(path.parent) == []


FORK = """
import os, trioserver
async def handle(request, client_address, server): ...
with trioserver.UnixStreamServer("x.sock", handle) as server:
    if os.fork() == 0:
        with server:
            pass
        os._exit(0)
    os.wait()
    print(os.path.exists("x.sock"))
print(os.path.exists("x.sock"))
"""


@pytest.mark.slow
async def test_a_forked_child_removes_nothing(tmp_path: Path) -> None:
    assert await run_program(FORK, directory=tmp_path) == ["True", "False"]


RACE = """
import contextlib, os, signal, socket
from trioserver import UnixStreamServer

PROCESSES, ROUNDS = 40, 10

async def handle(request, client_address, server): ...

def race(start, report):
    signal.alarm(60)  # whatever becomes of its parent
    os.read(start, 1)
    try:
        server = UnixStreamServer("x.sock", handle)
    except OSError:
        os.write(report, b"-")
        os._exit(0)
    os.write(report, b"+")
    server.socket.setblocking(True)
    while True:
        client, _ = server.socket.accept()
        with client, contextlib.suppress(ConnectionError):
            # The losers connect, too, to ask who has won.
            client.sendall(b"%d" % os.getpid())

def who_answers():
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("x.sock")
        return int(client.recv(100))

for number in range(ROUNDS):
    if number == 0:
        # Later rounds find the file of a winner that was killed.
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind("x.sock")
    start, go = os.pipe()
    result, report = os.pipe()
    children = []
    for _ in range(PROCESSES):
        child = os.fork()
        if child == 0:
            os.close(go)
            race(start, report)
        children.append(child)
    os.close(start)
    os.close(go)  # the starting gun: everybody reads the end of the pipe
    results = b""
    while len(results) < PROCESSES:
        results += os.read(result, PROCESSES)
    owners = {who_answers() for _ in range(PROCESSES)}
    print(results.count(b"+"), len(owners & set(children)), len(owners),
          *sorted(os.listdir(".")))
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    os.close(result)
    os.close(report)
"""


@pytest.mark.slow
async def test_of_forty_that_want_a_stale_path_one_has_it_and_serves_everybody(
    tmp_path: Path,
) -> None:
    lines = await run_program(RACE, directory=tmp_path)

    assert lines == ["1 1 1 x.sock"] * 10
