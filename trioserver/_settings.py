"""The settings of a server, and what each of them may be.

Settings are plain attributes, as in socketserver: set on the class, on a subclass
or on the object, before serving or during it. A wrong value is refused where it is
assigned, or, if it stands on a class, where the server is made.
"""

from __future__ import annotations

import math
import select
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Final, cast

_MAX_MODE: Final = 0o777


def _check_limit(name: str, value: object) -> None:
    if value == math.inf:
        return
    _check_count(name, value, "or math.inf for no limit")


def _check_count(name: str, value: object, otherwise: str = "0 or more") -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        message = f"{name} must be a whole number, {otherwise}, not {value!r}"
        raise TypeError(message)
    if value < 0:
        message = f"{name} must be a whole number, {otherwise}, not {value!r}"
        raise ValueError(message)


def _check_max_threads(name: str, value: object) -> None:
    _check_limit(name, value)
    if value == 0:
        message = (
            f"{name} must be 1 or more, or requests would wait for ever: "
            "max_concurrent_requests = 0 accepts nobody"
        )
        raise ValueError(message)


def check_seconds(name: str, value: object) -> None:
    """Refuse *value* if it is no duration: a number of seconds, 0 to `math.inf`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"{name} must be a number of seconds, not {value!r}"
        raise TypeError(message)
    if not value >= 0:  # this way round, NaN is refused too
        message = f"{name} must be 0 or more seconds (math.inf: no limit), not {value}"
        raise ValueError(message)


def _check_timeout(name: str, value: object) -> None:
    if value is not None:
        check_seconds(name, value)


def _check_bounded_seconds(name: str, value: object) -> None:
    check_seconds(name, value)
    if value == math.inf:
        message = f"{name} must be finite, or stopping could take for ever"
        raise ValueError(message)


def _check_positive(name: str, value: object) -> None:
    _check_count(name, value, "1 or more")
    if value == 0:
        message = f"{name} must be a whole number, 1 or more, not 0"
        raise ValueError(message)


def _check_drop_policy(name: str, value: object) -> None:
    message = f"{name} must be a string, 'newest' or 'oldest', not {value!r}"
    if not isinstance(value, str):
        raise TypeError(message)
    if value not in {"newest", "oldest"}:
        raise ValueError(message)


def _check_groups(name: str, value: object) -> None:
    if isinstance(value, str) or not isinstance(value, Sequence):
        message = f"{name} must be a sequence of addresses, not {value!r}"
        raise TypeError(message)
    for group in cast("Sequence[object]", value):
        if not _is_group(group):
            message = f"{name} must be addresses of multicast groups, not {group!r}"
            raise ValueError(message)


def _is_group(group: object) -> bool:
    try:
        return ip_address(str(group).partition("%")[0]).is_multicast
    except ValueError:
        return False


def _check_mode(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        message = f"{name} must be a number as 0o660, not {value!r}"
        raise TypeError(message)
    if not 0 <= value <= _MAX_MODE:
        # 660 without the 0o is 0o1224.
        message = f"{name} must be 0 to 0o777, not {oct(value)}: is its 0o missing?"
        raise ValueError(message)


def _check_edge_triggered(name: str, value: object) -> None:
    if not isinstance(value, bool):
        message = f"{name} must be a boolean, not {value!r}"
        raise TypeError(message)
    if value and not hasattr(select, "epoll"):
        message = f"{name} must be False on this system, which has no epoll, not True"
        raise ValueError(message)


_CHECKS: Final[dict[str, Callable[[str, object], None]]] = {
    "timeout": _check_timeout,
    "request_queue_size": _check_count,
    "max_packet_size": _check_positive,
    "socket_mode": _check_mode,
    "multicast_groups": _check_groups,
    "max_sessions": _check_limit,
    "session_timeout": check_seconds,
    "session_queue_size": _check_positive,
    "session_drop_policy": _check_drop_policy,
    "max_concurrent_requests": _check_limit,
    "max_children": _check_limit,
    "max_threads": _check_max_threads,
    "drain_timeout": check_seconds,
    "cleanup_timeout": _check_bounded_seconds,
    "edge_triggered": _check_edge_triggered,
    "linger_timeout": _check_bounded_seconds,
    "max_linger_bytes": _check_limit,
    "max_line_bytes": _check_limit,
    "max_read_bytes": _check_limit,
}


def check_setting(name: str, value: object) -> None:
    """Refuse *value* if a setting called *name* exists and cannot have it.

    Raises:
        TypeError: If it is of the wrong type.
        ValueError: If it is out of range.
    """
    check = _CHECKS.get(name)
    if check is not None:
        check(name, value)


def is_setting(name: str) -> bool:
    """Whether a setting called *name* exists."""
    return name in _CHECKS


def check_settings(owner: object) -> None:
    """Check every setting that *owner* has, wherever in its classes it stands."""
    for name in _CHECKS:
        if hasattr(owner, name):
            check_setting(name, getattr(owner, name))
