"""The file of a Unix server: whose it is, when it appears, and when it goes."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from kit.serving import STUCK, UpperHandler, ask, connect, serving
from kit.unix_sockets import (
    NamedServer,
    ask_name,
    leave_stale,
    names_in,
    run_program,
)
from trioserver import BaseServer, UnixDatagramServer, UnixStreamServer

EACH_KIND = (UnixStreamServer, UnixDatagramServer)

each_kind = pytest.mark.parametrize("kind", EACH_KIND, ids=lambda kind: kind.__name__)

Kind = type[UnixStreamServer] | type[UnixDatagramServer]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.sock"


# When it is there


async def test_the_file_is_there_while_the_server_is(path: Path) -> None:
    async with serving(UnixStreamServer(path, UpperHandler)) as server:
        assert names_in(path.parent) == ["x.sock"]
        async with await connect(server) as client:
            reply = await ask(client, b"hello\n")

    assert reply == b"HELLO\n"
    assert names_in(path.parent) == []


@each_kind
def test_a_plain_with_removes_it_too(path: Path, kind: Kind) -> None:
    with kind(path, UpperHandlerOf[kind]) as server:
        assert names_in(path.parent) == ["x.sock"]
        assert server.server_address == str(path)
    assert names_in(path.parent) == []


async def handle(request: object, client_address: object, server: object) -> None:
    """Handles nothing."""


UpperHandlerOf = dict.fromkeys(EACH_KIND, handle)


def test_the_file_is_there_as_soon_as_the_server_listens_and_no_sooner(
    path: Path,
) -> None:
    with UnixStreamServer(path, UpperHandler, bind_and_activate=False) as server:
        assert names_in(path.parent) == []
        server.server_bind()
        assert not path.exists()
        assert server.server_address == str(path)
        server.server_activate()
        assert names_in(path.parent) == ["x.sock"]


def test_a_server_that_was_never_activated_leaves_nothing(path: Path) -> None:
    with UnixStreamServer(path, UpperHandler, bind_and_activate=False) as server:
        server.server_bind()

    assert names_in(path.parent) == []


@each_kind
def test_a_subclass_that_fails_to_start_leaves_nothing(path: Path, kind: Kind) -> None:
    class Server(kind):  # type: ignore[misc, valid-type]  # whichever it is
        def server_activate(self) -> None:
            super().server_activate()
            message = "no licence"
            raise LookupError(message)

    with pytest.raises(LookupError):
        Server(path, handle)

    assert names_in(path.parent) == []


@each_kind
def test_a_bind_that_a_subclass_does_itself_is_its_own(path: Path, kind: Kind) -> None:
    class Server(kind):  # type: ignore[misc, valid-type]  # whichever it is
        def server_bind(self) -> None:
            self.socket.bind(str(path))

    with Server(path, handle):
        pass

    assert names_in(path.parent) == ["x.sock"]


def test_an_inherited_socket_keeps_its_file(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as inherited:
        inherited.bind(str(path))
        inherited.listen()
        server = UnixStreamServer(path, UpperHandler, bind_and_activate=False)
        server.socket.close()
        server.socket = inherited.dup()
        with server:
            pass

    assert names_in(path.parent) == ["x.sock"]


@each_kind
def test_the_address_is_shown_as_it_was_given(
    path: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)

    with kind("x.sock", handle) as relative:
        assert relative.server_address == "x.sock"
    with kind(os.fsencode(path), handle) as encoded:
        assert encoded.server_address == str(path)
    with kind("\0" + str(path), handle) as abstract:
        assert abstract.server_address == b"\0" + os.fsencode(path)


# Whose it is


@each_kind
def test_a_server_that_lives_keeps_its_path(path: Path, kind: Kind) -> None:
    with kind(path, handle) as server:
        with pytest.raises(OSError, match="listens there") as caught:
            kind(path, handle)
        with pytest.raises(OSError, match="listens there"):
            UnixStreamServer(path, handle)
        assert names_in(path.parent) == ["x.sock"]
        assert server.fileno() > 0

    assert caught.value.errno == errno.EADDRINUSE
    assert str(path) in str(caught.value)
    assert isinstance(server, BaseServer)


def test_the_error_names_the_process_that_has_it(path: Path) -> None:
    with UnixStreamServer(path, UpperHandler):
        with pytest.raises(OSError, match=f"the process {os.getpid()} listens there"):
            UnixStreamServer(path, UpperHandler)


def test_a_server_with_a_full_queue_lives_too(path: Path) -> None:
    class Server(UnixStreamServer):
        request_queue_size = 0

    with Server(path, UpperHandler), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        with pytest.raises(OSError, match="another program listens there"):
            Server(path, UpperHandler)


async def test_asking_who_lives_there_does_no_harm(path: Path) -> None:
    async with serving(NamedServer(path, b"first")):
        with pytest.raises(OSError, match="listens there"):
            NamedServer(path, b"second")

        assert await trio.to_thread.run_sync(ask_name, path) == b"first"


@each_kind
def test_what_somebody_else_has_put_there_stays(path: Path, kind: Kind) -> None:
    with kind(path, handle):
        path.unlink()
        path.write_text("somebody else's")

    assert path.read_text() == "somebody else's"


def test_a_hostile_name_is_escaped_wherever_it_is_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "\x1b[2Jx\r\nforged: \u202e\udcff"

    server = UnixStreamServer(path, UpperHandler)
    with server:
        with pytest.raises(OSError, match="listens there") as caught:
            UnixStreamServer(path, UpperHandler)
        shown = repr(server)
        server._claim._directory = "/nowhere"  # type: ignore[union-attr]  # it has one
    path.unlink()

    for text in (str(caught.value), shown, *caplog.messages):
        assert text.isascii()
        assert text.isprintable()
        assert "x\\r\\nforged" in text
    assert len(caplog.messages) == 1


# Taking over


@contextmanager
def visitor(path: Path) -> Iterator[list[bytes]]:
    """Let a client connect again and again; yield what it has been told."""
    replies: list[bytes] = []
    is_over = threading.Event()

    def visit() -> None:
        while not is_over.is_set():
            try:
                replies.append(ask_name(path))
            except OSError as error:
                replies.append(repr(error).encode())

    thread = threading.Thread(target=visit)
    thread.start()
    try:
        yield replies
    finally:
        is_over.set()
        thread.join(STUCK)


async def until_told(replies: list[bytes], name: bytes) -> None:
    """Wait until the visitor has met *name*."""
    while name not in replies[-1:]:
        await trio.sleep(0.001)


async def test_no_client_is_refused_while_a_successor_takes_over(path: Path) -> None:
    class Successor(NamedServer):
        allow_takeover = True

    names = [b"server %d" % number for number in range(5)]
    with trio.fail_after(STUCK), visitor_of_first(path) as (first, replies):
        async with trio.open_nursery() as nursery:
            await nursery.start(first.serve)
            await until_told(replies, first.name)
            predecessor = first
            for name in names[1:]:
                successor = Successor(path, name)
                await nursery.start(successor.serve)
                await until_told(replies, name)
                await predecessor.shutdown()
                predecessor = successor
            await until_told(replies, names[-1])
            stopped = len(replies)
            nursery.cancel_scope.cancel()

    assert set(replies[:stopped]) <= {b"server 0", *names}
    assert names_in(path.parent) == []


@contextmanager
def visitor_of_first(path: Path) -> Iterator[tuple[NamedServer, list[bytes]]]:
    first = NamedServer(path, b"server 0")
    with visitor(path) as replies:
        yield first, replies


async def test_a_predecessor_goes_on_with_the_clients_that_it_has(path: Path) -> None:
    class Successor(UnixStreamServer):
        allow_takeover = True

    async with serving(UnixStreamServer(path, UpperHandler)) as predecessor:
        async with await connect(predecessor) as client:
            assert await ask(client, b"before\n") == b"BEFORE\n"
            with Successor(path, UpperHandler):
                assert await ask(client, b"after\n") == b"AFTER\n"
                with predecessor:
                    pass
                assert names_in(path.parent) == ["x.sock"]


# Other processes


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


# Its mode


@pytest.fixture
def umask() -> Iterator[None]:
    """Let a test change the umask."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
@each_kind
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o177])
@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666, 0o777])
def test_the_mode_is_the_one_that_was_asked_for(
    path: Path, kind: Kind, mask: int, mode: int
) -> None:
    os.umask(mask)

    class Server(kind):  # type: ignore[misc, valid-type]  # whichever it is
        socket_mode = mode

    with Server(path, handle):
        found = stat.S_IMODE(path.stat().st_mode)

    assert found == mode
    assert os.umask(0o022) == mask


@each_kind
def test_nobody_else_may_connect_by_default(path: Path, kind: Kind) -> None:
    with kind(path, handle):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.slow
@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_no_other_mode_is_ever_seen(path: Path, mask: int) -> None:
    class Server(UnixStreamServer):
        socket_mode = 0o660

    os.umask(mask)
    seen: set[int] = set()
    looks = 0
    is_over = threading.Event()

    def look() -> None:
        nonlocal looks
        while not is_over.is_set():
            looks += 1
            try:
                seen.add(stat.S_IMODE(os.stat(path).st_mode))
            except FileNotFoundError:
                seen.add(0)

    thread = threading.Thread(target=look)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        for _ in range(200):
            before = looks
            with Server(path, UpperHandler):
                pass
            while looks == before:
                is_over.wait(0)
    finally:
        sys.setswitchinterval(interval)
        is_over.set()
        thread.join(STUCK)

    assert seen - {0} == {0o660}


def test_a_stale_file_is_replaced_whatever_its_mode(path: Path) -> None:
    leave_stale(path)
    path.chmod(0o000)

    with UnixStreamServer(path, UpperHandler):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("number", [signal.SIGINT])
async def test_ctrl_c_removes_the_file(path: Path, number: signal.Signals) -> None:
    server = UnixStreamServer(path, UpperHandler)

    with pytest.raises(KeyboardInterrupt), trio.fail_after(STUCK):
        async with server:
            signal.raise_signal(number)

    assert names_in(path.parent) == []
