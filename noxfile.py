"""Every check this project has. CI runs these sessions and nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True
# A Python that is not installed is left out; the first line of a run says so.
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "tests", "docs"]

PYTHONS = nox.project.python_versions(nox.project.load_toml("pyproject.toml"))
OLDEST, NEWEST = PYTHONS[0], PYTHONS[-1]

# The blocks of a page of documentation run one after the other, as a file's tests do.
PARALLEL = ["--numprocesses=auto", "--maxprocesses=8", "--dist=loadfile"]


def _find_pyenv_pythons() -> None:
    """Let nox find the Pythons that pyenv has installed but not made global."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [
        str(directory / "bin")
        for version in PYTHONS
        for directory in sorted(root.glob(f"versions/{version}.*"), reverse=True)
    ]
    # In front, because pyenv's shims answer to every name and then refuse to run.
    os.environ["PATH"] = os.pathsep.join([*found, os.environ["PATH"]])


_find_pyenv_pythons()


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, sizes and layers. Pass --fix to repair what can be."""
    session.install(".", *_groups("lint"))
    fix = "--fix" in session.posargs
    session.run("ruff", "format", *([] if fix else ["--check"]))
    session.run("ruff", "check", *(["--fix"] if fix else []))
    session.run("lint-imports")


@nox.session(python=[OLDEST, NEWEST])
def types(session: nox.Session) -> None:
    """Type-check the package and its public API."""
    session.install(".", *_groups("types"))
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--ignoreexternal", "--verifytypes", "trioserver")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Test the installed package, not the checkout."""
    session.install(".", *_groups("tests"))
    # Without this, "-m" puts the checkout ahead of what was installed.
    session.env["PYTHONSAFEPATH"] = "1"
    measured = ["coverage", "run", "-m", "pytest", *PARALLEL]
    if session.posargs:
        session.run(*measured, *session.posargs)
        return
    session.run(*measured, "--ignore=tests/proof")
    # Its children do what those of the other tests have done already.
    programs_alone = {"TRIOSERVER_TEST_MEASURED": "subprocess"}
    session.run(*measured, "tests/proof", env=programs_alone)
    session.notify("coverage")


@nox.session
def coverage(session: nox.Session) -> None:
    """Combine coverage data and insist on every line and branch."""
    session.install("coverage[toml]")
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session(python=NEWEST, default=False)
def proof(session: nox.Session) -> None:
    """Try everything of which the tests try a sample: every moment, many examples."""
    session.install(".", *_groups("tests"))
    session.env["PYTHONSAFEPATH"] = "1"
    session.env["TRIOSERVER_TEST_EVERYTHING"] = "1"
    # Each case wherever there is a process free: the files are few, and long. Two for
    # each core, since they wait for half of the time. That one case takes minutes is no
    # reason to tell where it is.
    processes = f"--numprocesses={2 * (os.cpu_count() or 1)}"
    own = [processes, "--dist=worksteal", "-o", "faulthandler_timeout=1800"]
    session.run("pytest", "-m", "proof", *own, *session.posargs)


@nox.session(default=False)
def benchmarks(session: nox.Session) -> None:
    """Compare with other libraries. Pass --quick for less, --list for the names."""
    session.install(".", *_groups("benchmarks"))
    # The checkout is what is measured: "-m" puts it first.
    session.env["PYTHONPATH"] = "tests"
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(python=NEWEST, default=False)
def soak(session: nox.Session) -> None:
    """Load and abuse a server for minutes. Pass --length 0.1 for less, or --list."""
    session.install(".", *_groups("soak"))
    # The checkout is what is tried: "-m" puts it first.
    session.env["PYTHONPATH"] = "tests"
    session.run("python", "-m", "soak", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the docs and run every example in them."""
    session.install(".", *_groups("docs"))
    shutil.rmtree("docs/_build", ignore_errors=True)
    session.run("pytest", "docs")
    session.run("sphinx-build", "-n", "-W", "--keep-going", "docs", "docs/_build/html")


@nox.session(default=False)
def changelog(session: nox.Session) -> None:
    """Fold the fragments into CHANGELOG.md. Pass --draft to look first."""
    session.install(*_groups("release"))
    session.run("towncrier", "build", *session.posargs)


def _groups(*names: str) -> list[str]:
    """Return the install arguments for the named dependency groups."""
    return [argument for name in names for argument in ("--group", name)]
