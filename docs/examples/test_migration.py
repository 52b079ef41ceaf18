"""The same service, in each of its forms, does the same."""

# ruff: noqa: S101  # pytest's asserts
from __future__ import annotations

import signal

import pytest

from kit.programs import EXAMPLES, running
from kit.serving import ask, receive_line

FORMS = sorted(path.name for path in EXAMPLES.glob("migration_*.py"))

# Lets each form listen on a free port, and say on which.
ON_A_FREE_PORT = """
import pathlib, runpy, socketserver, sys
import trioserver

example = pathlib.Path(sys.argv.pop(1))
sys.path.insert(0, str(example.parent))

def announcing(original):
    def init(self, server_address, *args, **kwargs):
        original(self, (server_address[0], 0), *args, **kwargs)
        print("on {}:{}".format(*self.server_address), flush=True)
    return init

for library in (socketserver, trioserver):
    library.TCPServer.__init__ = announcing(library.TCPServer.__init__)
runpy.run_path(str(example), run_name="__main__")
"""


def test_there_is_one_form_for_each_step() -> None:
    assert [name.split("_")[1] for name in FORMS] == ["0", "1", "2", "3"]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
async def test_clients_share_what_they_store(form: str) -> None:
    async with (
        running("-c", ON_A_FREE_PORT, str(EXAMPLES / form)) as program,
        await program.connect() as first,
        await program.connect() as second,
    ):
        assert await ask(first, b"get city\n") == b"?\n"
        assert await ask(first, b"set city Sao Paulo\n") == b"Sao Paulo\n"
        assert await ask(second, b"get city\n") == b"Sao Paulo\n"


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS[1:])
async def test_trio_ends_it_though_a_client_stays(form: str) -> None:
    async with (
        running("-c", ON_A_FREE_PORT, str(EXAMPLES / form)) as program,
        await program.connect() as client,
    ):
        await ask(client, b"set city Cairo\n")
        exit_code = await program.interrupt()
        assert await receive_line(client) == b""

    assert exit_code == -signal.SIGINT
