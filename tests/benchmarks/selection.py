"""Which contenders do which works: what was asked for, checked."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from benchmarks.contenders import CONTENDERS, OURS, missing
from benchmarks.works import WORKS

Plan = dict[str, tuple[str, ...]]


class SelectionError(Exception):
    """Something was asked for that there is not."""


def select(works: list[str], contenders: list[str], *, quick: bool) -> Plan:
    """Return the contenders of each work.

    Args:
        works: The names of works; none for all.
        contenders: The names of contenders; none for all that are installed.
        quick: Whether a work, or a contender of a work, that was not asked for by its
            name is left out if it takes long.
    """
    _check("work", works, WORKS)
    _check("contender", contenders, CONTENDERS)
    _check_installed(contenders)
    plan = {
        name: _contenders_of(name, contenders, quick=quick)
        for name in works or WORKS
        if works or WORKS[name].quick or not quick
    }
    return {name: chosen for name, chosen in plan.items() if chosen}


def left_out() -> list[str]:
    """Return the contenders that are not there, because nobody has installed them."""
    return [name for name in CONTENDERS if missing([name])]


def _contenders_of(work: str, contenders: list[str], *, quick: bool) -> tuple[str, ...]:
    usual = WORKS[work].quick if quick and WORKS[work].quick else tuple(CONTENDERS)
    # Ours is always there: without it there is no ratio.
    asked = [OURS, *contenders] if contenders else usual
    return tuple(
        name
        for name in CONTENDERS
        if name in asked
        if WORKS[work].service in CONTENDERS[name].services
        if CONTENDERS[name].is_installed
    )


def _check(kind: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        message = f"there is no {kind} {name}.{hint} There are: {', '.join(known)}"
        raise SelectionError(message)


def _check_installed(names: Iterable[str]) -> None:
    if absent := missing(names):
        message = f"not installed: {', '.join(absent)}; pip install --group benchmarks"
        raise SelectionError(message)
