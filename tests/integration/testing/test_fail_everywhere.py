"""Whatever a call of the system says, a server serves on, or says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.fault_scenarios import CASES, START_UPS
from kit.moments import SAMPLE
from trioserver.testing import fail_everywhere


@pytest.mark.proof
@pytest.mark.parametrize("name", CASES)
def test_serves_on_whatever_fails(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    case = CASES[name]

    report = fail_everywhere(
        case.play, probe=case.probe, sample=SAMPLE, paths=[tmp_path]
    )

    report.check()
    assert report.moments["fault"] > 50


@pytest.mark.proof
@pytest.mark.parametrize("name", START_UPS)
def test_leaves_nothing_behind_when_it_cannot_be_made(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    report = fail_everywhere(START_UPS[name], sample=SAMPLE, paths=[tmp_path])

    report.check()
    assert report.moments["fault"] > 15
