"""What is measured: everything, less of it, or what was asked for."""

from __future__ import annotations

import importlib.metadata

import pytest

from benchmarks.contenders import CONTENDERS, OURS
from benchmarks.rounds import Turn, turns
from benchmarks.selection import SelectionError, left_out, select
from benchmarks.works import WORKS


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no peer be installed, as it is without the dependency group."""

    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_everything_is_measured_unless_somebody_says_otherwise() -> None:
    plan = select([], [], quick=False)

    assert list(plan) == list(WORKS)
    assert all(names[0] == OURS for names in plan.values())


def test_nobody_does_what_he_cannot() -> None:
    plan = select([], [], quick=False)

    for work, names in plan.items():
        for name in names:
            assert WORKS[work].service in CONTENDERS[name].services


def test_quick_is_less_of_it() -> None:
    everything, quick = (select([], [], quick=quick) for quick in (False, True))

    assert set(quick) < set(everything)
    assert all(set(quick[work]) <= set(everything[work]) for work in quick)


def test_what_was_asked_for_is_measured_with_ours_beside_it() -> None:
    plan = select(["echo-1"], ["asyncio-streams"], quick=True)

    assert plan == {"echo-1": (OURS, "asyncio-streams")}


@pytest.mark.usefixtures("nothing_installed")
def test_what_is_not_installed_is_left_out() -> None:
    plan = select(["echo-1"], [], quick=False)

    assert "asyncio-streams" in plan["echo-1"]
    assert "gevent" not in plan["echo-1"]
    assert "gevent" in left_out()


@pytest.mark.usefixtures("nothing_installed")
def test_what_was_asked_for_and_is_not_installed_is_an_error() -> None:
    with pytest.raises(SelectionError, match="not installed: gevent; pip install"):
        select([], ["gevent"], quick=False)


@pytest.mark.parametrize(
    ("works", "names", "message"),
    [
        (["echo-10"], [], r"no work echo-10\. Did you mean echo-100\?"),
        ([], ["tri0"], r"no contender tri0\. Did you mean trio\?"),
        (["??"], [], r"no work \?\?\. There are: echo-1, "),
    ],
)
def test_an_unknown_name_is_an_error_that_knows_better(
    works: list[str], names: list[str], message: str
) -> None:
    with pytest.raises(SelectionError, match=message):
        select(works, names, quick=False)


def test_the_contenders_of_a_work_alternate() -> None:
    plan = {"udp": ("trioserver", "raw"), "stop": ("trioserver",)}

    assert list(turns(plan, rounds=2)) == [
        Turn("udp", 0, "trioserver"),
        Turn("udp", 0, "raw"),
        Turn("stop", 0, "trioserver"),
        Turn("udp", 1, "raw"),
        Turn("udp", 1, "trioserver"),
        Turn("stop", 1, "trioserver"),
    ]


def test_a_quick_work_names_contenders_that_can_do_it_or_are_of_no_use_there() -> None:
    for work in WORKS.values():
        assert set(work.quick) <= set(CONTENDERS)
