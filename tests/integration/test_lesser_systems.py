"""What a system does not have, the package does not have, and the rest works."""

from __future__ import annotations

import sys

import pytest
import trio

from kit.serving import STUCK


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "missing", "name"),
    [
        ("socket", "AF_UNIX", "UnixStreamServer"),
        ("socket", "AF_UNIX", "ThreadingUnixStreamServer"),
        ("os", "fork", "ForkingTCPServer"),
    ],
)
async def test_the_package_works_on_systems_that_have_less(
    module: str, missing: str, name: str
) -> None:
    with trio.fail_after(STUCK):
        done = await trio.run_process(
            [sys.executable, "-c", WITHOUT, module, missing, name],
            capture_stdout=True,
        )

    assert done.stdout == b"False False\n"


# Trio itself names every family that it finds, so it comes first.
WITHOUT = """
import os, socket, sys, trio
_, module, missing, name = sys.argv
delattr(sys.modules[module], missing)
import trioserver
import trioserver._cli.main
print(name in trioserver.__all__, hasattr(trioserver, name))
trioserver.TCPServer(("localhost", 0), trioserver.StreamRequestHandler).socket.close()
"""
