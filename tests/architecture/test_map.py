"""The pages that describe the package as a whole agree with it."""

from __future__ import annotations

import math
import re
import select
import socket
import socketserver
from pathlib import Path
from typing import Final

import pytest

import trioserver

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "trioserver"
EXPLANATION: Final = ROOT / "docs" / "explanation"
DIFFERENCES: Final = ROOT / "docs" / "reference" / "differences.md"

# Below "### Class": | `attribute` | `old` | `new` | …; no old one if it is new.
_DEFAULT_ROW: Final = re.compile(
    r"^\| `(\w+)` \| (?:`([^`|]+)`)? ?\| `([^`|]+)` \|", re.MULTILINE
)

# What the cells of that table may name.
_NAMES: Final = {"math": math, "select": select, "socket": socket}


def modules() -> list[str]:
    """Return each module as the map names it; a package with a slash at its end."""
    files = (path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
    return sorted(name.removesuffix("__init__.py") or "__init__.py" for name in files)


def section(title: str) -> str:
    """Return the text below one heading of the architecture page."""
    text = (EXPLANATION / "architecture.md").read_text(encoding="utf-8")
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def defaults() -> list[tuple[str, str, str, str]]:
    """Return class, attribute, old and new default of each row."""
    text = DIFFERENCES.read_text(encoding="utf-8").partition("\n## Serving\n")[0]
    return [
        (class_name, *row.groups(default=""))
        for class_name, rows in re.findall(r"(?m)^### (\w+)\n([^#]+)", text)
        for row in _DEFAULT_ROW.finditer(rows)
    ]


def test_the_map_names_each_module_once_and_no_other() -> None:
    named = re.findall(r"`([\w/]+(?:\.py|/))`", section("The map"))

    assert sorted(named) == modules()


def test_the_task_tree_names_each_module_that_opens_a_nursery() -> None:
    openers = {
        name
        for name in modules()
        if name.endswith(".py") and "open_nursery()" in (PACKAGE / name).read_text()
    }

    assert openers
    assert openers <= set(re.findall(r"[\w/]+\.py", section("The task tree")))


@pytest.mark.parametrize(("class_name", "attribute", "old", "new"), defaults())
def test_the_table_of_defaults_is_right(
    class_name: str, attribute: str, old: str, new: str
) -> None:
    ours = getattr(trioserver, class_name)
    theirs = getattr(socketserver, class_name)

    assert getattr(ours, attribute) == _value(new)
    assert hasattr(theirs, attribute) == bool(old)
    assert getattr(theirs, attribute, None) == (_value(old) if old else None)


def test_the_table_of_defaults_has_every_setting() -> None:
    in_table = {(class_name, attribute) for class_name, attribute, *_ in defaults()}

    assert in_table == {
        (class_name, attribute)
        for class_name in {class_name for class_name, *_ in defaults()}
        for attribute, value in vars(getattr(trioserver, class_name)).items()
        if not attribute.startswith("_") and not callable(value)
        if not isinstance(value, property)
    }


def test_a_decision_has_at_most_thirty_lines() -> None:
    pages = sorted((EXPLANATION / "decisions").glob("0*.md"))

    long = [page.name for page in pages if len(page.read_text().splitlines()) > 30]

    assert pages
    assert long == []


def _value(cell: str) -> object:
    return eval(cell, dict(_NAMES))  # noqa: S307  # our own page
