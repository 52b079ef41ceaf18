"""Making a server: what is bound, when, and what is left when that fails."""

from __future__ import annotations

import errno
import socket

import pytest

from kit.serving import LOOPBACK
from parity.journal import Journal
from parity.libraries import Library, both_libraries
from parity.scenario import (
    closing,
    handle_one,
    make_server,
    recording_server,
    upper_line,
)


@both_libraries
async def test_the_constructor_binds_and_listens(library: Library) -> None:
    journal = Journal()

    server = recording_server(library, journal)

    async with closing(library, server):
        entries = list(journal.entries)
        listens = server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    assert entries == ["server_bind()", "server_activate()"]
    assert listens == 1


@both_libraries
async def test_the_constructor_can_leave_binding_to_the_caller(
    library: Library,
) -> None:
    journal = Journal()
    handler = library.handler(upper_line)
    server = journal.recording_server(library.class_("TCPServer"))(
        LOOPBACK, handler, bind_and_activate=False
    )

    async with closing(library, server):
        before = (list(journal.entries), server.server_address, server.fileno() > 2)
        server.server_bind()
        server.server_activate()
        reply = await handle_one(library, server, b"hello\n")

    assert before == ([], LOOPBACK, True)
    assert reply == b"HELLO\n"


@both_libraries
async def test_server_address_is_what_the_system_chose(library: Library) -> None:
    server = make_server(library)

    async with closing(library, server):
        address = server.server_address
        expected = server.socket.getsockname()

    assert address == expected
    assert address != LOOPBACK


@both_libraries
async def test_fileno_is_the_sockets_until_it_is_closed(library: Library) -> None:
    server = make_server(library)

    async with closing(library, server):
        open_ = (server.fileno(), server.socket.fileno())

    assert open_[0] == open_[1] > 2
    assert server.fileno() == -1


@both_libraries
async def test_closing_twice_is_no_error(library: Library) -> None:
    server = make_server(library)

    async with closing(library, server):
        await library.call(server.server_close)

    assert server.fileno() == -1


@both_libraries
def test_keeps_the_handler_that_it_was_given(library: Library) -> None:
    handler = library.handler(upper_line)

    with library.class_("TCPServer")(LOOPBACK, handler) as server:
        kept = server.RequestHandlerClass

    assert kept is handler


@both_libraries
def test_a_plain_with_returns_the_server_and_closes_its_socket(
    library: Library,
) -> None:
    server = make_server(library)

    with server as entered:
        assert entered is server

    assert server.fileno() == -1


@both_libraries
@pytest.mark.parametrize("hook", ["server_bind", "server_activate"])
def test_closes_the_socket_when_a_hook_of_the_constructor_raises(
    library: Library, hook: str
) -> None:
    journal = Journal(raises={hook: ValueError})

    with pytest.raises(ValueError, match=hook):
        recording_server(library, journal)

    assert journal.server.fileno() == -1


@both_libraries
def test_closes_the_socket_after_an_exit_too(library: Library) -> None:
    journal = Journal(raises={"server_bind": SystemExit})

    with pytest.raises(SystemExit):
        recording_server(library, journal)

    assert journal.server.fileno() == -1


@both_libraries
def test_an_address_in_use_raises_the_systems_error(library: Library) -> None:
    journal = Journal()
    server = journal.recording_server(library.class_("TCPServer"))

    with (
        socket.create_server(LOOPBACK) as taken,
        pytest.raises(OSError, match="already in use") as raised,
    ):
        server(taken.getsockname(), library.handler(upper_line))

    assert raised.value.errno == errno.EADDRINUSE
    assert journal.server.fileno() == -1


@both_libraries
@pytest.mark.parametrize(
    ("address", "error"),
    [
        (("127.0.0.1", -1), OverflowError),
        (("127.0.0.1", 65536), OverflowError),
        (("127.0.0.1", "http"), TypeError),
        (("127.0.0.1", None), TypeError),
        (("127.0.0.1",), TypeError),
        ("127.0.0.1:80", TypeError),
        ((None, 0), TypeError),
    ],
)
def test_refuses_a_bad_address_with_the_same_error(
    library: Library, address: object, error: type[Exception]
) -> None:
    with pytest.raises(error):
        make_server(library, address=address)
