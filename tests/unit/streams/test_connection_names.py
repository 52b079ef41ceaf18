"""What `Connection` says to those who take it for a socket."""

from __future__ import annotations

import re

import pytest

from trioserver import Connection
from unit.streams.pairs import socket_pair


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("sendall", "'sendall': use await send_all(data)"),
        ("getpeername", "'getpeername', but its socket has: use .socket.getpeername"),
        ("teleport", "'teleport'"),
    ],
)
async def test_says_what_to_use_instead_of_what_a_socket_has(
    name: str, remedy: str
) -> None:
    ours, theirs = map(Connection, socket_pair())

    async with ours, theirs:
        with pytest.raises(AttributeError, match=f"no attribute {re.escape(remedy)}$"):
            getattr(ours, name)
