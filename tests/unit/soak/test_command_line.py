"""The command line of the soak: what it makes, what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from soak import command_line
from soak.bench import Bench
from soak.command_line import main
from soak.table_of_checks import CHECKS, Check
from soak.verdicts import Outcome, exactly


async def keep(bench: Bench) -> Outcome:
    return Outcome("", f"{bench.scaled(1000)} clients", [exactly("lost", 0, 0)])


async def break_one(bench: Bench) -> Outcome:
    return Outcome("", "nothing", [exactly("lost", 1, 0)], notes=["because"])


async def fail(bench: Bench) -> Outcome:
    message = "no server"
    raise OSError(message)


@pytest.fixture(autouse=True)
def checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be three checks, which take no time."""
    made = {
        run.__name__: Check(run.__name__, f"to {run.__name__}", run)
        for run in (keep, break_one, fail)
    }
    monkeypatch.setattr(command_line, "CHECKS", made)


def test_the_exit_code_is_0_if_promises_are_kept(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--only", "keep", "--length", "0.1"]) == 0

    printed = capsys.readouterr().out
    assert "keep: 100 clients in 0 s; lost 0 (must be 0) ... ok" in printed
    assert printed.endswith("keep         0        1       0  ok\n")


def test_it_is_1_if_one_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "keep", "break_one"]) == 1
    assert "  because\n" in capsys.readouterr().out


def test_a_check_that_fails_breaks_a_promise_and_says_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--only", "fail"]) == 1
    assert "  no server\n" in capsys.readouterr().out


def test_it_is_2_if_there_is_no_such_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "keep", "other"]) == 2
    assert "there is no check other; --list shows" in capsys.readouterr().err


@pytest.mark.parametrize("length", ["0", "-1", "long", "nan", "1000"])
def test_a_length_that_is_none_is_refused(
    length: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--length", length])
    assert "is no number between 0 and 100" in capsys.readouterr().err


def test_the_figures_are_written_for_programs(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"

    main(["--output", str(file)])

    outcomes = json.loads(file.read_text())["outcomes"]
    assert [o["check"] for o in outcomes] == ["keep", "break_one", "fail"]


def test_the_list_has_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_checks_go_by_their_own_names() -> None:
    assert [check.name for check in CHECKS.values()] == list(CHECKS)
