"""Fixtures of the proof."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.points import Points


@pytest.fixture
def points(request: pytest.FixtureRequest) -> Points:
    """Return what counts the places at which a test makes trouble."""
    return Points(request.node.user_properties)


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in a directory where the files of servers can be told from others."""
    monkeypatch.chdir(tmp_path)
