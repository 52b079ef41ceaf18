"""The page of guarantees names tests that exist, one or more for each promise."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from soak.table_of_checks import CHECKS

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "explanation" / "guarantees.md"

SOAK: Final = "soak: "


def promises() -> list[tuple[str, list[str]]]:
    """Return each promise with the names of what holds it."""
    rows = re.findall(r"(?m)^\| ([^|]+) \| ([^|]+) \|[^|]*\|$", PAGE.read_text("utf-8"))
    return [
        (promise, re.findall("`([^`]+)`", holders))
        for promise, holders in rows
        if promise != "promise"
    ]


@cache
def names_in(file: str) -> set[str]:
    """Return the names of the tests in *file*, and of the objects that are tests."""
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize(("promise", "holders"), promises())
def test_each_promise_is_held_by_tests_that_exist(
    promise: str, holders: list[str]
) -> None:
    assert holders
    for holder in holders:
        if holder.startswith(SOAK):
            assert holder.removeprefix(SOAK) in CHECKS
        else:
            file, _, name = holder.partition("::")
            assert name.startswith("test_")
            assert name in names_in(file)


def test_each_check_of_the_soak_is_on_the_page() -> None:
    named = {name for _, holders in promises() for name in holders}

    assert {f"{SOAK}{name}" for name in CHECKS} <= named
