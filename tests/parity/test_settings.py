"""Settings have the same effect, on the class and, in time, on the object."""

from __future__ import annotations

import socket
import sys

import pytest

from kit.serving import LOOPBACK
from parity.libraries import Either, Library, both_libraries
from parity.scenario import closing, handle_one, make_server, open_client, upper_line


def option(sock: socket.socket, name: str) -> bool:
    """Return whether the socket option called *name* is on."""
    level = socket.IPPROTO_TCP if name.startswith("TCP") else socket.SOL_SOCKET
    return bool(sock.getsockopt(level, getattr(socket, name)))


@both_libraries
@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize(
    ("setting", "name"),
    [("allow_reuse_address", "SO_REUSEADDR"), ("allow_reuse_port", "SO_REUSEPORT")],
)
def test_a_setting_on_the_class_sets_the_socket_option(
    library: Library, setting: str, name: str, value: bool
) -> None:
    settings = {setting: value}

    with make_server(library, **settings) as server:
        is_set = option(server.socket, name)

    assert is_set is value


@both_libraries
@pytest.mark.parametrize("value", [True, False])
def test_a_setting_on_the_object_counts_until_it_is_bound(
    library: Library, value: bool
) -> None:
    server = library.class_("TCPServer")(
        LOOPBACK, library.handler(upper_line), bind_and_activate=False
    )

    with server:
        server.allow_reuse_address = value
        server.server_bind()
        is_set = option(server.socket, "SO_REUSEADDR")

    assert is_set is value


@both_libraries
def test_two_servers_share_a_port_that_both_may_reuse(library: Library) -> None:
    with make_server(library, allow_reuse_port=True) as first:
        address = first.server_address
        with make_server(library, address=address, allow_reuse_port=True) as second:
            shared = second.server_address

    assert shared == address


@both_libraries
async def test_address_family_is_the_sockets(library: Library) -> None:
    server = make_server(library, address=("::1", 0), address_family=socket.AF_INET6)

    async with closing(library, server):
        family = server.socket.family
        address = server.server_address

    assert family == socket.AF_INET6
    assert address[0] == "::1"
    assert len(address) == 4


@both_libraries
async def test_request_queue_size_is_what_listen_gets(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    class Socket(socket.socket):
        def listen(self, backlog: int = 0, /) -> None:
            sizes.append(backlog)
            super().listen(backlog)

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", Socket)
        server = make_server(library, request_queue_size=7)
    await library.call(server.server_close)

    assert sizes == [7]


@both_libraries
@pytest.mark.parametrize("value", [True, False])
async def test_disable_nagle_algorithm_sets_tcp_nodelay(
    library: Library, value: bool
) -> None:
    seen: list[bool] = []

    def look(handler: Either) -> Either:
        seen.append(option(library.socket_of(handler.request), "TCP_NODELAY"))
        yield

    server = make_server(library, look)
    server.RequestHandlerClass.disable_nagle_algorithm = value
    async with closing(library, server):
        await handle_one(library, server)

    assert seen == [value]


@both_libraries
async def test_a_handler_that_times_out_raises_timeout_error(library: Library) -> None:
    errors: list[BaseException | None] = []
    server = make_server(
        library, handle_error=lambda *_: errors.append(sys.exception())
    )
    server.RequestHandlerClass.timeout = 0.01

    async with closing(library, server), await open_client(server):
        await library.call(server.handle_request)

    assert [isinstance(error, TimeoutError) for error in errors] == [True]


@both_libraries
async def test_a_setting_of_one_handler_is_its_own(library: Library) -> None:
    """Set in ``setup()``, before the files are made."""
    sent: list[bytes] = []

    def write(handler: Either) -> Either:
        yield handler.wfile.write(b"written ")
        yield library.send_all(handler.request, b"sent ")

    base = library.handler(write)

    class FirstBuffered(base):  # type: ignore[misc, valid-type]  # of two libraries
        def setup(self) -> Either:
            if not sent:
                self.wbufsize = -1
            return super().setup()

    server = make_server(library)
    server.RequestHandlerClass = FirstBuffered
    async with closing(library, server):
        sent.append(await handle_one(library, server))
        sent.append(await handle_one(library, server))

    assert sent == [b"sent written ", b"written sent "]
    assert "wbufsize" not in vars(FirstBuffered)


@both_libraries
async def test_attributes_of_the_server_are_its_own_and_shared_by_requests(
    library: Library,
) -> None:
    def count(handler: Either) -> Either:
        handler.server.count += 1
        yield handler.wfile.write(b"%d" % handler.server.count)

    server, other = make_server(library, count, count=0), make_server(library, count=5)
    async with closing(library, server), closing(library, other):
        replies = [await handle_one(library, server) for _ in range(3)]
        await handle_one(library, other)

    assert replies == [b"1", b"2", b"3"]
    assert (server.count, other.count) == (3, 5)
