"""Data in the messages of failed expectations."""

from __future__ import annotations

from typing import Final

# Bytes of data that are shown from each end.
_SHOWN: Final = 200


def excerpt(data: bytes | bytearray) -> str:
    """Return *data* as a message can show them: long ones by their ends."""
    if not data:
        return "nothing"
    if len(data) <= 2 * _SHOWN:
        return repr(bytes(data))
    return f"{bytes(data[:_SHOWN])!r} ... {bytes(data[-_SHOWN:])!r} ({len(data)} bytes)"


def difference(expected: bytes, came: bytes | bytearray) -> str:
    """Return where long data differ, in words; nothing if one can see it."""
    if len(expected) <= _SHOWN:
        return ""
    pairs = enumerate(zip(expected, came, strict=False))
    first = next((at for at, (one, other) in pairs if one != other), None)
    return f"\n  they differ from byte {first} on" if first is not None else ""
