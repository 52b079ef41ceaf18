"""Each call on a socket in memory ends as the same call on a real one does."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from kit.memory import memory_pair
from kit.serving import reset_on_close
from trioserver._streams.delivery import is_delivered
from trioserver._streams.hang_up import is_hung_up

Pair = tuple[socket.socket, socket.socket]

FAMILIES = {"tcp": socket.AF_INET, "unix": socket.AF_UNIX}

# Milliseconds that the kernel may take to carry a segment; never waited for.
PATIENCE = 5000


@contextmanager
def real_pair(family: int) -> Iterator[Pair]:
    if family == socket.AF_UNIX:
        client, server = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            server, _ = listener.accept()
    with client, server:
        client.setblocking(False)
        server.setblocking(False)
        yield client, server


Call = Callable[[], object]


def outcome(call: Call) -> object:
    """Return what *call* returns, or the name of its error."""
    try:
        return call()
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def arrive(sock: socket.socket) -> None:
    """Wait until what was sent to a real *sock* is there."""
    if sock.fileno() < 2**30:
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        assert poll.poll(PATIENCE)


def received(sock: socket.socket, count: int = 1) -> list[object]:
    """Return how *count* receives end, the first once something is there."""
    arrive(sock)
    return [outcome(lambda: sock.recv(100)) for _ in range(count)]


def data_before_the_end(client: socket.socket, server: socket.socket) -> object:
    client.send(b"data")
    client.shutdown(socket.SHUT_WR)
    return received(server, 3)


def nothing_to_read(client: socket.socket, server: socket.socket) -> object:
    return outcome(lambda: server.recv(1)), is_hung_up(server)


def parts_become_one(client: socket.socket, server: socket.socket) -> object:
    client.send(b"one ")
    client.send(b"two")
    arrive(server)
    assert any(len(server.recv(9, socket.MSG_PEEK)) == 7 for _ in range(10**6))
    return received(server, 2)


def less_than_there_is(client: socket.socket, server: socket.socket) -> object:
    client.send(b"abcdef")
    arrive(server)
    return (
        server.recv(2),
        server.recv(1, socket.MSG_PEEK),
        server.recv(2),
        server.recv(0),
    )


def into_a_buffer(client: socket.socket, server: socket.socket) -> object:
    client.send(b"abcdef")
    arrive(server)
    buffer = bytearray(4)
    return server.recv_into(buffer), server.recv_into(buffer, 1), bytes(buffer)


def several_buffers(client: socket.socket, server: socket.socket) -> object:
    client.sendmsg([b"ab", b"", bytearray(b"cd")])
    arrive(server)
    data, items, flags, _ = server.recvmsg(100)
    return data, items, flags


def half_closed_still_receives(client: socket.socket, server: socket.socket) -> object:
    client.shutdown(socket.SHUT_WR)
    client.shutdown(socket.SHUT_WR)
    got = received(server)
    return (
        got,
        outcome(lambda: client.send(b"x")),
        server.send(b"reply"),
        received(client),
        is_hung_up(client),
    )


def both_half_closed(client: socket.socket, server: socket.socket) -> object:
    client.shutdown(socket.SHUT_WR)
    server.shutdown(socket.SHUT_WR)
    return received(server, 2), received(client, 2), is_hung_up(server)


def deaf(client: socket.socket, server: socket.socket) -> object:
    client.shutdown(socket.SHUT_RD)
    return received(client, 2), client.send(b"x"), received(server)


def shut_down_both_ways(client: socket.socket, server: socket.socket) -> object:
    client.shutdown(socket.SHUT_RDWR)
    return (
        received(client),
        received(server),
        outcome(lambda: client.send(b"x")),
        is_hung_up(client),
    )


def closed_with_all_read(client: socket.socket, server: socket.socket) -> object:
    client.send(b"last")
    client.close()
    return received(server, 3), is_hung_up(server)


def closed_with_unread_data(client: socket.socket, server: socket.socket) -> object:
    server.send(b"unread")
    arrive(client)
    client.close()
    return (
        received(server, 3),
        outcome(lambda: server.send(b"x")),
        is_hung_up(server),
    )


def reset_behind_data(client: socket.socket, server: socket.socket) -> object:
    server.send(b"unread")
    arrive(client)
    client.send(b"last")
    client.close()
    return received(server, 3)


def reset_then_send(client: socket.socket, server: socket.socket) -> object:
    server.send(b"unread")
    arrive(client)
    client.close()
    arrive(server)
    return [outcome(lambda: server.send(b"x")) for _ in range(2)], received(server, 2)


def sent_to_nobody(client: socket.socket, server: socket.socket) -> object:
    client.close()
    first = received(server)
    outcome(lambda: server.send(b"x"))
    assert any(is_hung_up(server) for _ in range(10**6))
    return first, outcome(lambda: server.send(b"x")), received(server, 2)


def shut_down_after_a_reset(client: socket.socket, server: socket.socket) -> object:
    server.send(b"unread")
    arrive(client)
    client.close()
    received(server, 2)
    return outcome(lambda: server.shutdown(socket.SHUT_WR))


def the_error_option(client: socket.socket, server: socket.socket) -> object:
    server.send(b"unread")
    arrive(client)
    client.close()
    arrive(server)
    told = [server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for _ in range(2)]
    return told, received(server, 2)


def the_peer_of_a_lost_connection(
    client: socket.socket, server: socket.socket
) -> object:
    server.send(b"unread")
    arrive(client)
    client.close()
    arrive(server)
    peer = outcome(server.getpeername)
    return peer == "ENOTCONN", is_delivered(server)


def what_is_delivered(client: socket.socket, server: socket.socket) -> object:
    before = is_delivered(server)
    server.shutdown(socket.SHUT_WR)
    return before, any(is_delivered(server) for _ in range(10**6))


def closed_by_us(client: socket.socket, server: socket.socket) -> object:
    client.close()
    client.close()
    return (
        client.fileno(),
        outcome(lambda: client.recv(1)),
        outcome(lambda: client.send(b"x")),
        outcome(lambda: client.shutdown(socket.SHUT_WR)),
        outcome(client.getsockname),
        is_hung_up(client),
    )


def a_duplicate_keeps_it_open(client: socket.socket, server: socket.socket) -> object:
    with client.dup() as duplicate:
        client.close()
        nothing = outcome(lambda: server.recv(1))
        duplicate.send(b"x")
        came = received(server)
    return nothing, came, received(server)


def what_it_is(client: socket.socket, server: socket.socket) -> object:
    return (
        client.family,
        client.type,
        client.gettimeout(),
        client.timeout,
        outcome(client.accept),
    )


def full(client: socket.socket, server: socket.socket) -> object:
    outcomes = (outcome(lambda: client.send(bytes(10000))) for _ in range(10**6))
    return next(name for name in outcomes if isinstance(name, str)), received(server)


def linger_zero(client: socket.socket, server: socket.socket) -> object:
    reset_on_close(client)
    client.close()
    return received(server, 2)


SCENARIOS = [
    data_before_the_end,
    nothing_to_read,
    parts_become_one,
    less_than_there_is,
    into_a_buffer,
    several_buffers,
    half_closed_still_receives,
    both_half_closed,
    deaf,
    shut_down_both_ways,
    closed_with_all_read,
    closed_with_unread_data,
    reset_behind_data,
    reset_then_send,
    sent_to_nobody,
    shut_down_after_a_reset,
    the_error_option,
    the_peer_of_a_lost_connection,
    what_is_delivered,
    closed_by_us,
    a_duplicate_keeps_it_open,
    what_it_is,
    full,
    linger_zero,
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_memory_says_what_the_kernel_says(
    scenario: Callable[[socket.socket, socket.socket], object], family: str
) -> None:
    with real_pair(FAMILIES[family]) as (client, server):
        real = scenario(client, server)
    client, server = memory_pair(FAMILIES[family])
    with client, server:
        in_memory = scenario(client, server)

    assert in_memory == real
