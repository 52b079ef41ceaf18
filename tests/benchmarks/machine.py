"""What a figure depends on: the machine, the versions, the commit."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import trio

from benchmarks.contenders import CONTENDERS

ROOT: Final = Path(__file__).parents[2]


def describe(contenders: Iterable[str]) -> dict[str, str]:
    """Return what a reader must know to compare figures, by what it is."""
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "trioserver": _commit(),
        **_versions(contenders),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _commit() -> str:
    """Return the commit that is measured, and whether it has been changed since."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "not from a repository"


def _versions(contenders: Iterable[str]) -> dict[str, str]:
    versions = {"trio": trio.__version__}
    for contender in map(CONTENDERS.__getitem__, contenders):
        if contender.distribution is not None and contender.version is not None:
            versions[contender.distribution] = contender.version
    return dict(sorted(versions.items()))
