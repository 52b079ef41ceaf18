"""No file grows past what can be read at once."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MAX_LINES = 400

# Files that may be longer, and why.
LONGER = {
    # socketserver dictates 17 methods, and each has its contract in a docstring.
    "trioserver/_servers/base.py": 560,
}

FILES = sorted(
    str(path.relative_to(ROOT))
    for directory in ("trioserver", "tests", "docs")
    for path in (ROOT / directory).rglob("*.py")
    if "_build" not in path.parts
)


@pytest.mark.parametrize("name", FILES)
def test_a_file_can_be_read_at_once(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").count("\n")

    assert lines <= LONGER.get(name, MAX_LINES)


def test_longer_files_are_files_that_exist() -> None:
    assert set(LONGER) <= set(FILES)
