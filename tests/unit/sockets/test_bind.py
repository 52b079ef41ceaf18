"""Making a listening socket; a failed bind says what to do about it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from trioserver._sockets import bind as bind_module
from trioserver._sockets.bind import bind, listen, make_socket, set_reuse


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with make_socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        yield sock


def test_makes_a_non_blocking_socket(sock: socket.socket) -> None:
    assert sock.gettimeout() == 0
    assert (sock.family, sock.type) == (socket.AF_INET, socket.SOCK_STREAM)


# Reuse


@pytest.mark.parametrize("wanted", [False, True])
def test_sets_the_reuse_of_the_address(sock: socket.socket, wanted: bool) -> None:
    set_reuse(sock, address=wanted, port=False)

    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == wanted
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0


def test_lets_two_sockets_share_a_port(sock: socket.socket) -> None:
    with make_socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        for each in (sock, other):
            set_reuse(each, address=False, port=True)
        bind(sock, ("127.0.0.1", 0))

        bind(other, sock.getsockname())

        assert other.getsockname() == sock.getsockname()


def test_shares_an_ipv6_port() -> None:
    with make_socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
        set_reuse(sock, address=False, port=True)

        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 1


def test_refuses_to_share_what_is_no_port() -> None:
    with (
        make_socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock,
        pytest.raises(ValueError, match="allow_reuse_port"),
    ):
        set_reuse(sock, address=False, port=True)


def test_refuses_to_share_a_port_where_the_system_cannot(
    sock: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "SO_REUSEPORT")

    with pytest.raises(ValueError, match="this system cannot share"):
        set_reuse(sock, address=False, port=True)


def test_keeps_its_address_to_itself_where_reuse_is_not_safe(
    sock: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on Windows; the number stands for an option that can be read back here.
    monkeypatch.setattr(bind_module, "_EXCLUSIVE", socket.SO_KEEPALIVE)

    set_reuse(sock, address=False, port=False)

    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


# Errors


def test_binds(sock: socket.socket) -> None:
    bind(sock, ("127.0.0.1", 0))

    host, port = sock.getsockname()
    assert host == "127.0.0.1"
    assert port > 0


def test_a_port_in_use_says_to_choose_another(sock: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(OSError, match="choose another port") as caught:
            bind(sock, ("127.0.0.1", port))

    assert caught.value.errno == errno.EADDRINUSE
    assert f"cannot bind 127.0.0.1:{port}: Address already in use" in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


def test_a_foreign_address_says_what_means_every_address(sock: socket.socket) -> None:
    # RFC 5737: an address for documentation, which no machine has.
    with pytest.raises(OSError, match=r"0\.0\.0\.0 means every IPv4 address") as caught:
        bind(sock, ("192.0.2.1", 0))

    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_an_unknown_host_is_named(sock: socket.socket) -> None:
    # A literal of the other family fails as an unknown name does, with no question
    # to a name server.
    with pytest.raises(socket.gaierror, match=r"cannot find the host of \[::1\]:0"):
        bind(sock, ("::1", 0))


class RefusingSocket(socket.socket):
    """Cannot be bound."""

    error: OSError

    def bind(self, address: object) -> None:
        raise self.error


@pytest.fixture
def refusing() -> Iterator[RefusingSocket]:
    with RefusingSocket() as sock:
        yield sock


def test_a_privileged_port_says_how_to_get_the_privilege(
    refusing: RefusingSocket,
) -> None:
    refusing.error = PermissionError(errno.EACCES, "Permission denied")

    with pytest.raises(PermissionError, match="CAP_NET_BIND_SERVICE") as caught:
        bind(refusing, ("127.0.0.1", 80))

    assert caught.value.errno == errno.EACCES
    assert "cannot bind 127.0.0.1:80: Permission denied" in str(caught.value)


def test_an_error_without_a_remedy_is_told_as_it_is(refusing: RefusingSocket) -> None:
    refusing.error = OSError(errno.EINVAL, "Invalid argument")

    with pytest.raises(OSError, match=r"127\.0\.0\.1:80: Invalid argument$") as caught:
        bind(refusing, ("127.0.0.1", 80))

    assert caught.value.errno == errno.EINVAL


def test_an_error_without_a_number_keeps_its_text() -> None:
    # CPython checks the length by itself, and then there is no errno.
    with (
        make_socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock,
        pytest.raises(OSError, match="AF_UNIX path too long"),
    ):
        bind(sock, "x" * 200)


# Listening


def test_listens(sock: socket.socket) -> None:
    bind(sock, ("127.0.0.1", 0))

    listen(sock, 5)

    with socket.create_connection(sock.getsockname()):
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1


def test_a_port_that_another_socket_has_begun_to_listen_on_says_so(
    sock: socket.socket,
) -> None:
    with make_socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        for each in (sock, other):
            set_reuse(each, address=True, port=False)
        bind(sock, ("127.0.0.1", 0))
        bind(other, sock.getsockname())
        listen(other, 5)

        with pytest.raises(OSError, match="choose another port") as caught:
            listen(sock, 5)

        port = sock.getsockname()[1]

    assert caught.value.errno == errno.EADDRINUSE
    assert f"cannot listen on 127.0.0.1:{port}: " in str(caught.value)
