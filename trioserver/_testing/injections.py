"""What the outside can do to a server at any moment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final, Literal, TypeAlias, get_args

import attrs
import trio

from trioserver._engine.hooks import settled
from trioserver._exceptions import ServerClosedError
from trioserver._testing.trial import Trial

Kind: TypeAlias = Literal["cancel", "interrupt", "shutdown", "close", "reset"]

ALL_KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


@attrs.frozen
class Injection:
    """Something that the outside does at one moment of a run."""

    name: str
    """How a report calls it."""
    act: Callable[[Trial], object]
    """Does it, at once: it runs between two steps of tasks, where nothing can wait."""
    applies: Callable[[Trial], object] = lambda _: True
    """Whether it can be done at all, told by a run that was left alone."""
    is_graceful: bool = False
    """Whether every request that was accepted is still promised its reply."""
    raises: tuple[type[BaseException], ...] = ()
    """What the server may raise because of it."""

    def strike(self, trial: Trial) -> None:
        """Do it to *trial*."""
        trial.note_injection(is_graceful=self.is_graceful, raises=self.raises)
        self.act(trial)


def _interrupt(_trial: Trial) -> None:
    signal.raise_signal(signal.SIGINT)


def _shut_down(trial: Trial) -> None:
    for server in trial.servers:
        _begin(trial, "shutdown()", server.shutdown)


def _close(trial: Trial) -> None:
    for server in trial.servers:
        _begin(trial, "server_close()", server.server_close)


def _begin(trial: Trial, what: str, ask: Callable[[], Awaitable[None]]) -> None:
    trio.lowlevel.spawn_system_task(partial(_ask, trial, what, ask))


async def _ask(trial: Trial, what: str, ask: Callable[[], Awaitable[None]]) -> None:
    try:
        await settled(ask())
    except Exception as error:  # it is a finding, and the run goes on
        trial.report_error(what, error)


_KINDS: Final[dict[str, Injection]] = {
    injection.name: injection
    for injection in (
        Injection("cancel", Trial.cancel),
        Injection("interrupt", _interrupt, raises=(KeyboardInterrupt,)),
        Injection(
            "shutdown", _shut_down, lambda trial: trial.servers, is_graceful=True
        ),
        Injection(
            "close",
            _close,
            lambda trial: trial.servers,
            is_graceful=True,
            raises=(ServerClosedError,),
        ),
        Injection("reset", Trial.reset_clients, lambda trial: trial.has_clients),
    )
}


def named(by: Kind | Injection | Iterable[Kind | Injection]) -> list[Injection]:
    """Return the injections that *by* means.

    Python sees a Ctrl-C in the main thread only: elsewhere, it would strike there, and
    not the run. So there it is left out of `ALL_KINDS`.

    Raises:
        ValueError: If there is none of such a name, or none at all; or if there is a
            Ctrl-C outside of the main thread.
    """
    wanted = [by] if isinstance(by, str | Injection) else list(by)
    if threading.current_thread() is not threading.main_thread():
        if by is ALL_KINDS:
            wanted.remove("interrupt")
        elif "interrupt" in wanted:
            message = "by='interrupt' needs the main thread, where Ctrl-C strikes"
            raise ValueError(message)
    if not wanted:
        message = "by is empty: leave it out to make every kind of trouble"
        raise ValueError(message)
    return [_named(one) for one in wanted]


def _named(one: str | Injection) -> Injection:
    if isinstance(one, Injection):
        return one
    if one not in _KINDS:
        message = f"by={one!r}: there are {', '.join(ALL_KINDS)}"
        raise ValueError(message)
    return _KINDS[one]
