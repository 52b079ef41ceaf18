"""The file of a Unix server: whose it is, when it appears, and when it goes."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import stat
from pathlib import Path

import pytest
import trio

from kit.serving import STUCK, UpperHandler, ask, connect, serving
from kit.unix_sockets import (
    NamedServer,
    ask_name,
    leave_stale,
    names_in,
)
from trioserver import BaseServer, UnixDatagramServer, UnixStreamServer

EACH_KIND = (UnixStreamServer, UnixDatagramServer)

each_kind = pytest.mark.parametrize("kind", EACH_KIND, ids=lambda kind: kind.__name__)

Kind = type[UnixStreamServer] | type[UnixDatagramServer]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.sock"


async def handle(request: object, client_address: object, server: object) -> None:
    """Handles nothing."""


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
    with kind(path, handle) as server:
        assert names_in(path.parent) == ["x.sock"]
        assert server.server_address == str(path)
    assert names_in(path.parent) == []


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
