"""Whether the peer has everything that was sent to it."""

from __future__ import annotations

import runpy
import sys
from functools import partial

import pytest
import trio
import trio.testing

from kit.serving import STUCK, eventually
from trioserver._streams import delivery
from trioserver._streams.delivery import is_acknowledged, is_delivered
from unit.streams.pairs import SMALL_BYTES, connected, fill, reset, tcp_pair

pytestmark = pytest.mark.usefixtures("readiness")


async def test_nothing_is_delivered_before_the_end_of_file() -> None:
    with connected(tcp_pair()) as (connection, _):
        assert not is_delivered(connection.socket)


async def test_all_is_delivered_once_the_peer_has_the_end_of_file() -> None:
    with connected(tcp_pair()) as (connection, peer), trio.fail_after(STUCK):
        await connection.send_eof()
        await peer.receive_some()

        # The acknowledgement may take a while, or be there already.
        await eventually(partial(is_delivered, connection.socket))

        assert is_delivered(connection.socket)


async def test_nothing_is_delivered_while_the_peer_has_no_room() -> None:
    with connected(tcp_pair(SMALL_BYTES)) as (connection, _):
        fill(connection.socket)
        connection.half_close()

        assert not is_delivered(connection.socket)


async def test_a_reset_leaves_nothing_to_deliver() -> None:
    with connected(tcp_pair()) as (connection, peer):
        reset(peer)

        assert is_delivered(connection.socket)


async def test_a_local_socket_delivers_at_once() -> None:
    with connected() as (connection, _):
        assert is_delivered(connection.socket)


async def test_nobody_can_tell_on_other_systems(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "_TCP_INFO", None)
    with connected() as (connection, _):
        assert not is_delivered(connection.socket)


async def test_all_is_acknowledged_once_the_peers_system_has_it() -> None:
    with connected(tcp_pair()) as (connection, _), trio.fail_after(STUCK):
        await connection.send_all(b"reply")

        await eventually(partial(is_acknowledged, connection.socket))

        assert not is_delivered(connection.socket)


async def test_not_all_is_acknowledged_while_the_peer_has_no_room() -> None:
    with connected(tcp_pair(SMALL_BYTES)) as (connection, _):
        fill(connection.socket)

        assert not is_acknowledged(connection.socket)


async def test_a_local_socket_acknowledges_at_once() -> None:
    with connected() as (connection, _):
        assert is_acknowledged(connection.socket)


async def test_nobody_can_tell_what_is_acknowledged_on_other_systems(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "_TCP_INFO", None)
    with connected(tcp_pair()) as (connection, _):
        assert not is_acknowledged(connection.socket)


async def test_what_other_systems_tell_under_the_same_name_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "freebsd14")
    elsewhere = runpy.run_path(delivery.__file__)

    with connected(tcp_pair()) as (connection, _):
        assert not elsewhere["is_acknowledged"](connection.socket)
