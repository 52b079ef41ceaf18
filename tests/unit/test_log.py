"""The log stays honest: what the network sends cannot forge lines in it."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator

import pytest

from trioserver import _log
from trioserver._log import (
    LOGGER_NAME,
    MAX_LINE,
    MAX_TEXT,
    MAX_TRACEBACK_LINES,
    describe,
    escape,
    log,
)

HOSTILE = [
    "a\nERROR trioserver: forged",
    "a\rforged",
    "\x1b[2J\x1b]0;title\x07",
    "NUL \0",
    "next line \x85",
    "line separator \u2028",
    "right to left \u202e",
    "C1 control \x9b2J",
    "surrogate \udc80",
    "delete \x7f",
    "emoji \U0001f600",
    "x" * 65536,
    "\n" * 65536,
]
each_hostile = pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))

# What is cut off is counted, in a few characters more.
COUNT_CHARS = 25


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """What a real handler writes, with the formatter that `logging` has by default."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger(LOGGER_NAME)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield stream
    logger.setLevel(level)
    logger.removeHandler(handler)


def is_printable_ascii(line: str) -> bool:
    return line.isascii() and line.isprintable()


def raised(error: BaseException) -> BaseException:
    """Return *error* with a traceback."""
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


# Escaping


@each_hostile
def test_escapes_any_text(text: str) -> None:
    escaped = escape((text, 80))

    assert is_printable_ascii(escaped)
    assert len(escaped) <= MAX_TEXT + COUNT_CHARS


def test_leaves_a_usual_address_readable() -> None:
    assert escape(("127.0.0.1", 80)) == "('127.0.0.1', 80)"


def test_says_how_much_it_has_cut_off() -> None:
    assert escape("x" * 1000).endswith("xxx... (1002 chars)")


# Describing


@each_hostile
def test_describes_any_error_in_one_line(text: str) -> None:
    error = ConnectionResetError(text)
    error.add_note(text)

    description = describe(error)

    assert description.startswith("ConnectionResetError: ")
    assert is_printable_ascii(description)
    assert len(description) <= MAX_TEXT + COUNT_CHARS


@pytest.mark.parametrize(
    ("error", "description"),
    [
        (OSError(5, "I/O error"), "OSError: [Errno 5] I/O error"),
        (ValueError(), "ValueError"),
        (ValueError("two\nlines"), "ValueError: two\\nlines"),
        (
            ExceptionGroup("both", [ValueError("x")]),
            "ExceptionGroup: both (1 sub-exception)",
        ),
        (SyntaxError("bad", ("file.py", 1, 1, "x y", 1, 2)), "SyntaxError: bad"),
    ],
    ids=["errno", "empty", "two lines", "group", "syntax"],
)
def test_describes_an_error_by_its_type_and_message(
    error: Exception, description: str
) -> None:
    assert describe(error) == description


def test_describes_an_error_and_not_its_notes() -> None:
    error = ValueError("message")
    error.add_note("a note")

    assert describe(error) == "ValueError: message"


class UnspeakableError(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        message = "no text"
        raise RuntimeError(message)


def test_describes_an_error_whose_text_cannot_be_had() -> None:
    assert describe(UnspeakableError()).endswith(
        "UnspeakableError: <exception str() failed>"
    )


# Records


def test_writes_a_message_as_one_record(caplog: pytest.LogCaptureFixture) -> None:
    log(logging.WARNING, "something with 100 %s")

    assert caplog.record_tuples == [
        ("trioserver", logging.WARNING, "something with 100 %s")
    ]


@each_hostile
def test_a_message_is_one_line_whatever_it_quotes(
    output: io.StringIO, text: str
) -> None:
    error = ValueError(text)

    log(logging.INFO, f"{escape(text)} said {describe(error)}")

    (line,) = output.getvalue().splitlines()
    assert is_printable_ascii(line)


def test_a_message_is_of_bounded_length(output: io.StringIO) -> None:
    log(logging.INFO, "x" * 65536)

    assert len(output.getvalue()) <= MAX_LINE + COUNT_CHARS


@each_hostile
def test_a_traceback_is_indented_ascii_of_bounded_lines(
    output: io.StringIO, text: str
) -> None:
    error = raised(ValueError(text))
    error.add_note(text)
    error.__cause__ = raised(ExceptionGroup(text, [OSError(5, text)]))

    log(logging.ERROR, "It failed", error=error)

    first, *rest = output.getvalue().split("\n")[:-1]
    assert first == "It failed"
    assert len(rest) > 2
    for line in rest:
        assert is_printable_ascii(line)
        assert line.startswith("  ")
        assert len(line) <= 2 + MAX_LINE + COUNT_CHARS


def test_a_traceback_shows_where_it_happened(output: io.StringIO) -> None:
    log(logging.ERROR, "It failed", error=raised(ValueError("the reason")))

    text = output.getvalue()
    assert "  Traceback (most recent call last):\n" in text
    assert "test_log.py" in text
    assert text.endswith("  ValueError: the reason\n")


def test_a_traceback_of_an_error_whose_text_cannot_be_had(
    output: io.StringIO,
) -> None:
    log(logging.ERROR, "It failed", error=raised(UnspeakableError()))

    assert "UnspeakableError: <exception str() failed>" in output.getvalue()


def test_no_more_is_escaped_than_is_written(
    monkeypatch: pytest.MonkeyPatch, output: io.StringIO
) -> None:
    def escape_some(text: str) -> str:
        lengths.append(len(text))
        return escape_all(text)

    lengths: list[int] = []
    escape_all = _log._printable
    monkeypatch.setattr(_log, "_printable", escape_some)
    error = raised(ValueError("\xff" * 65536))

    log(logging.ERROR, describe(error), error=error)

    text = "ValueError: " + "\\xff" * 1000
    first, *_, last = output.getvalue().splitlines()
    assert first == f"{text[:MAX_TEXT]}... (65548 chars)"
    assert last == f"  {text[:MAX_LINE]}... (65548 chars)"
    assert max(lengths) <= MAX_LINE


def even(number: int) -> bool:
    return number == 0 or odd(number - 1)


def odd(number: int) -> bool:
    return even(number - 1)


def test_a_deep_recursion_is_cut(output: io.StringIO) -> None:
    # Two functions in turn: of one alone, Python itself folds the repetitions.
    with pytest.raises(RecursionError) as caught:
        even(sys.getrecursionlimit() * 2)

    log(logging.ERROR, "It failed", error=caught.value)

    lines = output.getvalue().splitlines()
    assert len(lines) == 1 + MAX_TRACEBACK_LINES + 1
    assert lines[-1] == "  (traceback cut here)"


def test_keeps_the_exception_for_other_handlers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = raised(ValueError("x"))

    log(logging.ERROR, "It failed", error=error)

    (record,) = caplog.records
    assert record.exc_info == (ValueError, error, error.__traceback__)


def test_formats_nothing_that_nobody_wants(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class CountingError(Exception):
        calls = 0

        def __str__(self) -> str:
            CountingError.calls += 1
            return ""

    with caplog.at_level(logging.ERROR, LOGGER_NAME):
        log(logging.WARNING, "unwanted", error=CountingError())
        unwanted = CountingError.calls
        log(logging.ERROR, "wanted", error=CountingError())

    assert unwanted == 0
    assert CountingError.calls > 0
    assert [record.message for record in caplog.records] == ["wanted"]


def test_names_the_caller_as_its_place(caplog: pytest.LogCaptureFixture) -> None:
    log(logging.ERROR, "here")

    (record,) = caplog.records
    assert record.pathname == __file__
    assert record.funcName == "test_names_the_caller_as_its_place"
