"""What the fuzzed functions do with bytes, and that they see what is wrong."""

from __future__ import annotations

import pytest

from soak.fuzz import addresses, log_text
from soak.fuzz.source import Source
from soak.fuzz.targets import TARGETS, WORDS


def test_a_source_chooses_by_its_bytes() -> None:
    source = Source(b"\x05\x03abcd")

    assert source.number(3) == 1
    assert source.one_of("wxyz") == "z"
    assert source.some(3) == b"abc"
    assert not source.is_used_up
    assert source.rest() == b"d"


def test_a_source_that_is_used_up_chooses_the_first() -> None:
    source = Source(b"")

    assert source.is_used_up
    assert (source.number(9), source.one_of("ab"), source.some(2)) == (0, "a", b"")


@pytest.mark.parametrize("name", TARGETS)
def test_the_words_are_input_as_any(name: str) -> None:
    for word in (b"", *WORDS, b"".join(WORDS), bytes(range(256)) * 3):
        TARGETS[name](word)


def test_an_address_that_is_not_shown_as_it_is_parsed_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(addresses, "parse_bind_address", lambda text: text + "!")

    with pytest.raises(AssertionError):
        addresses.parse_any_address(b"tcp://localhost:1")


def test_text_that_is_not_escaped_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_text, "escape", lambda text: text)

    with pytest.raises(AssertionError):
        log_text.log_any_text(b"\x1b[2J")
