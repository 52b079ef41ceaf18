"""Hostile text, and what counts as a wrong line of a log."""

from __future__ import annotations

import pytest

from soak.hostile import HOSTILE, split_lines, wrong_lines


def test_there_are_forty_texts_and_none_twice() -> None:
    assert len(set(HOSTILE)) >= 40
    assert len(set(HOSTILE)) == len(HOSTILE)
    assert max(map(len, HOSTILE)) >= 65535


def test_most_of_them_would_be_wrong_lines() -> None:
    """The others are about formats and paths, and are as printable as can be."""
    raw = [line for text in HOSTILE for line in text.split("\n")]

    assert len(wrong_lines(raw, 1000)) > 30


@pytest.mark.parametrize("line", ["\x1b[2J", "\x85", "a" * 11, "\u202e", "\t"])
def test_what_is_long_or_not_printable_is_wrong(line: str) -> None:
    assert wrong_lines(["good", line, ""], 10) == [line]


def test_a_line_ends_at_a_newline_and_nowhere_else() -> None:
    assert split_lines(b"a\rb\nc\x0cd\n") == ["a\rb", "c\x0cd"]
    assert split_lines(b"a\nb") == ["a", "b"]
