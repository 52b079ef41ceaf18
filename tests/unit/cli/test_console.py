"""What is printed, and how."""

from __future__ import annotations

import pytest

from trioserver._cli.console import complain, printable, say


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("C:\\chat ~", "C:\\chat ~"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("b\u00fccher \u202e", "b\\xfccher \\u202e"),
        ("\udcff", "\\udcff"),
    ],
)
def test_shows_text_as_one_line_of_printable_ascii(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_complains_in_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    complain("no such\nthing")

    assert capsys.readouterr() == ("", "trioserver: no such\\nthing\n")


def test_a_complaint_is_of_bounded_length(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever somebody has pasted into the command line."""
    complain("x" * 70_000)

    assert capsys.readouterr().err.endswith("x... (70000 chars)\n")
    complain("x" * 70_000)
    assert len(capsys.readouterr().err) < 1100


def test_says_each_line_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    say("one\x07", "two")

    assert capsys.readouterr() == ("one\\x07\ntwo\n", "")
