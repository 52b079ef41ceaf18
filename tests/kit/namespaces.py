"""A network namespace with addresses of its own, for one program."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Final

import trio

from kit.programs import environment
from kit.serving import STUCK

# Who is not root becomes it, in a namespace for users as well.
_UNSHARE: Final = {
    True: ["unshare", "--net"],
    False: ["unshare", "--net", "--user", "--map-root-user"],
}

# lo does no multicast over IPv6, and so there is a second interface, veth0.
_SET_UP: Final = """
set -e
ip link set lo up
ip link add veth0 type veth peer name veth1
ip link set veth0 addrgenmode none up
ip link set veth1 up
ip address add fe80::1/64 dev veth0 nodad
for address in $ADDRESSES; do ip address add "$address" dev lo; done
exec "$PYTHON" -c "$PROGRAM"
"""


async def output_in_namespace(program: str, *addresses: str) -> str:
    """Run a Python *program* alone with *addresses*, and return what it prints.

    There is an interface ``lo`` with these, and ``veth0`` with ``fe80::1``.
    """
    variables = {
        "ADDRESSES": " ".join(addresses),
        "PYTHON": sys.executable,
        "PROGRAM": program,
    }
    inherited = environment()
    tests = str(Path(__file__).parents[1])
    inherited["PYTHONPATH"] = os.pathsep.join([inherited["PYTHONPATH"], tests])
    run = partial(
        trio.run_process,
        [*_UNSHARE[os.geteuid() == 0], "sh", "-c", _SET_UP],
        capture_stdout=True,
        env=inherited | variables,
    )
    with trio.fail_after(STUCK):
        done = await run()
    return done.stdout.decode()
