"""`Link`: how one direction of a connection behaves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

# Linux gives a connection over loopback more, but a test wants to see the end of it.
WINDOW_BYTES = 65536


def _is_number(_link: object, attribute: attrs.Attribute[float], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"{attribute.name} must be a number, not {value!r}"
        raise TypeError(message)


def _is_whole(_link: object, attribute: attrs.Attribute[int], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        message = f"{attribute.name} must be a whole number, not {value!r}"
        raise TypeError(message)


def _is_bool(_link: object, attribute: attrs.Attribute[bool], value: object) -> None:
    if not isinstance(value, bool):
        message = f"{attribute.name} must be True or False, not {value!r}"
        raise TypeError(message)


def _copied(fates: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], ...]:
    try:
        return tuple(tuple(map(float, fate)) for fate in fates)
    except (TypeError, ValueError) as error:
        message = (
            "fates must have the delays of the copies for each datagram, as "
            f"[(), (0, 0), (0.3,)], not {fates!r}"
        )
        raise TypeError(message) from error


def _is_rate(_link: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 <= value <= 1:
        message = f"{attribute.name} must be between 0 and 1, not {value!r}"
        raise ValueError(message)


def _are_delays(
    _link: object,
    attribute: attrs.Attribute[Sequence[Sequence[float]]],
    value: Sequence[Sequence[float]],
) -> None:
    if not all(0 <= delay < math.inf for fate in value for delay in fate):
        message = f"{attribute.name} must be seconds from 0 on, not {value!r}"
        raise ValueError(message)


@attrs.frozen(kw_only=True)
class Link:
    """How one direction of a connection in a `MemoryNetwork` behaves.

    By default it is perfect: what is sent has arrived. Times are those of Trio's clock.
    Without a *jitter*, everything arrives in the order in which it was sent, as far as
    the *fates* let it. The same link does the same in each run of a test.

    ``attrs.evolve(link, delay=1)`` returns one that differs.
    """

    delay: float = attrs.field(
        default=0.0,
        validator=[_is_number, attrs.validators.ge(0), attrs.validators.lt(math.inf)],
    )
    """Seconds until a byte, an end-of-file, a reset or a datagram arrives."""

    bytes_per_second: float = attrs.field(
        default=math.inf, validator=[_is_number, attrs.validators.gt(0)]
    )
    """The most bytes that arrive in a second."""

    segment_bytes: float = attrs.field(
        default=math.inf, validator=[_is_number, attrs.validators.ge(1)]
    )
    """The most bytes of a stream that one receive returns: 1 splits everything.

    By default, one receive returns all that has arrived, as with TCP.
    """

    window_bytes: int = attrs.field(
        default=WINDOW_BYTES, validator=[_is_whole, attrs.validators.ge(1)]
    )
    """Bytes of a stream that are on their way or unread; beyond, the sender waits."""

    is_cut: bool = attrs.field(default=False, validator=_is_bool)
    """Whether nothing arrives any more, and neither side is told.

    A stream goes on when it is mended, as TCP sends again what was lost. Datagrams that
    were sent meanwhile are lost.
    """

    loss: float = attrs.field(default=0.0, validator=[_is_number, _is_rate])
    """The part of the datagrams that is lost: 0.1 loses every tenth, more or less."""

    duplication: float = attrs.field(default=0.0, validator=[_is_number, _is_rate])
    """The part of the datagrams that arrives twice."""

    jitter: float = attrs.field(
        default=0.0,
        validator=[_is_number, attrs.validators.ge(0), attrs.validators.lt(math.inf)],
    )
    """Seconds by which a datagram may be later than *delay*, and so behind others."""

    seed: int = attrs.field(default=0, validator=_is_whole)
    """What *loss*, *duplication* and *jitter* are drawn from."""

    fates: Sequence[Sequence[float]] = attrs.field(
        default=(), converter=_copied, validator=_are_delays
    )
    """What becomes of the first datagrams, instead of that: the delays of their copies.

    ``[(), (0, 0), (0.3,), (0,)]``: the first is lost, the second arrives twice, the
    third 0.3 s later than *delay*, and so after the fourth.
    """


def check_link(link: object) -> None:
    """Insist on a link.

    Raises:
        TypeError: If it is something else.
    """
    if not isinstance(link, Link):
        message = f"a link must be a Link, as Link(delay=0.1), not {link!r}"
        raise TypeError(message)


PERFECT = Link()
