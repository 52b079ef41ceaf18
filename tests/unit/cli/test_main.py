"""From arguments to an exit code, where nothing is served."""

from __future__ import annotations

import importlib

import pytest

from trioserver._cli import main as module
from trioserver._cli.main import main


def test_importing_the_program_does_not_start_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    importlib.import_module("trioserver.__main__")

    assert capsys.readouterr() == ("", "")


def test_ends_with_2_and_one_line_after_wrong_usage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    exit_code = main(["serve", "--drain", "soon\n"])

    out, errors = capsys.readouterr()
    assert exit_code == 2
    assert out == ""
    assert errors.startswith("trioserver: argument --drain: 'soon\\n' must be")
    assert errors.count("\n") == 1


def test_ends_quietly_when_interrupted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def parse_arguments(_argv: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "parse_arguments", parse_arguments)

    exit_code = main(["serve"])

    assert exit_code == 130
    assert capsys.readouterr() == ("", "")
