from __future__ import annotations

import pytest

from trioserver._testing.short_transfers import can_be_short, shortened


@pytest.mark.parametrize(
    ("operation", "arguments", "short"),
    [
        ("recv", (100,), (1,)),
        ("recvmsg", (100, 20), (1, 20)),
        ("recv_into", (bytearray(5), 0), (bytearray(1), 0)),
        ("send", (b"hello",), (b"h",)),
        ("sendmsg", ([b"", b"hello"], [], 0), ([b"h"], [], 0)),
    ],
)
def test_one_byte_is_asked_for(
    operation: str, arguments: tuple[object, ...], short: tuple[object, ...]
) -> None:
    assert can_be_short(operation, arguments)
    assert shortened(arguments) == short


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [("recv", (1,)), ("send", (b"x",)), ("sendmsg", ([b"x"],)), ("accept", ())],
)
def test_what_transfers_no_more_cannot_be_short(
    operation: str, arguments: tuple[object, ...]
) -> None:
    assert not can_be_short(operation, arguments)
