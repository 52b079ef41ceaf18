"""Fuzz one target for a time: `python -m soak.fuzz.by_atheris SECONDS TARGET`.

atheris follows which lines are reached, and changes the input so that more are.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["trioserver"]):
    from soak.fuzz.targets import TARGETS, WORDS

from soak.probes import resident_bytes

inputs = 0


def main(seconds: str, name: str) -> None:
    """Fuzz until the time is over; print as `by_hypothesis` does."""
    logging.getLogger().addHandler(logging.NullHandler())
    target = TARGETS[name]

    def fuzz(data: bytes) -> None:
        global inputs  # noqa: PLW0603  # atheris ends the process, and returns nothing
        inputs += 1
        target(data)
        if inputs % 100 == 0:
            sys.stdout.write(f"{name} {inputs} {resident_bytes()}\n")

    with tempfile.TemporaryDirectory() as directory:
        corpus = Path(directory)
        for number, word in enumerate(WORDS):
            (corpus / str(number)).write_bytes(word)
        options = (
            "-max_len=3000",
            "-rss_limit_mb=2000",
            f"-artifact_prefix={directory}/",
        )
        atheris.Setup(
            [sys.argv[0], f"-max_total_time={seconds}", *options, directory], fuzz
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
