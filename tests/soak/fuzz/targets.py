"""Every function of bytes that is fuzzed, by its name.

Each takes any bytes, and raises only if the library is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from soak.fuzz.addresses import parse_any_address, parse_any_arguments
from soak.fuzz.log_text import log_any_text
from soak.fuzz.reading import read_anything
from soak.fuzz.sessions import mix_sessions_up

TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "rfile": read_anything,
    "addresses": parse_any_address,
    "arguments": parse_any_arguments,
    "sessions": mix_sessions_up,
    "log-text": log_any_text,
}

# What random bytes would take long to find.
WORDS: Final = (
    b"tcp://",
    b"udp://",
    b"unix:",
    b"unixgram:@",
    b"[::1]:9999",
    b"?mode=660",
    b"localhost:",
    b"serve\n--bind\n",
    b"--drain\ninf",
    b"--log-level\ndebug",
    b"\r\n",
    b"\xff\xfe",
    "\N{LINE SEPARATOR}".encode(),
    "\N{RIGHT-TO-LEFT OVERRIDE}".encode(),
    b"\x1b[2J",
)
