"""Whatever a handler raises, the others do not notice."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import trio

from kit.serving import LOOPBACK, UpperHandler, ask, connect, receive_all, serving
from trioserver import StreamRequestHandler, TCPServer


class UnprintableError(Exception):
    """Cannot even be shown."""

    def __str__(self) -> str:
        message = "no"
        raise RuntimeError(message)


def recurse() -> None:
    """Raise RecursionError."""
    recurse()


def fail_with(error: BaseException) -> None:
    raise error


RAISES: dict[str, Callable[[], None]] = {
    "Exception": lambda: fail_with(ValueError("broken")),
    "OSError": lambda: fail_with(OSError(5, "disk on fire")),
    "nested groups": lambda: fail_with(
        ExceptionGroup("outer", [ExceptionGroup("inner", [ValueError("deep")])])
    ),
    "RecursionError": recurse,
    "MemoryError": lambda: fail_with(MemoryError()),
    "StopIteration": lambda: fail_with(StopIteration()),
    "StopAsyncIteration": lambda: fail_with(StopAsyncIteration()),
    "NotImplementedError": lambda: fail_with(NotImplementedError()),
    "no string": lambda: fail_with(UnprintableError()),
    "assertion": lambda: fail_with(AssertionError("x" * 100_000)),
}


class MischievousHandler(StreamRequestHandler):
    """Echoes, or does what the line says."""

    async def handle(self) -> None:
        async for line in self.rfile:
            name = line.strip().decode()
            self.raise_in_finish = name.removeprefix("finish ")
            if name in RAISES:
                RAISES[name]()
            await self.wfile.write(line.upper())

    async def finish(self) -> None:
        await super().finish()
        if self.raise_in_finish in RAISES:
            RAISES[self.raise_in_finish]()


@pytest.mark.parametrize("where", ["", "finish "])
@pytest.mark.parametrize("name", RAISES)
async def test_a_witness_keeps_talking(
    name: str, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(TCPServer(LOOPBACK, MischievousHandler)) as server:
        async with await connect(server) as witness, await connect(server) as other:
            assert await ask(witness, b"before\n") == b"BEFORE\n"
            address = other.socket.getsockname()

            await other.send_all(f"{where}{name}\n".encode())
            await other.send_eof()
            await receive_all(other)

            assert await ask(witness, b"after\n") == b"AFTER\n"

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert repr(address) in record.getMessage()
    assert record.exc_text is not None
    assert record.exc_text.isascii()


async def test_a_witness_keeps_talking_while_handle_error_logs_and_raises_in_vain(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Contained(TCPServer):
        async def handle_error(self, request: object, client_address: object) -> None:
            try:
                fail_with(LookupError())
            except LookupError:
                await super().handle_error(request, client_address)

    async with serving(Contained(LOOPBACK, MischievousHandler)) as server:
        async with await connect(server) as witness, await connect(server) as other:
            await ask(witness, b"before\n")

            await ask(other, b"Exception\n")

            assert await ask(witness, b"after\n") == b"AFTER\n"

    (record,) = caplog.records
    assert "LookupError" in (record.exc_text or "")
    assert "ValueError: broken" in (record.exc_text or "")


async def test_errors_beside_a_cancellation_are_split_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    entered = trio.Event()

    class FailsWhenCancelled(StreamRequestHandler):
        async def handle(self) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.fail_late)
                entered.set()
                await trio.sleep_forever()

        async def fail_late(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                message = "while being cancelled"
                raise ValueError(message)

    server = TCPServer(LOOPBACK, FailsWhenCancelled)
    server.daemon_requests = True
    async with serving(server):
        async with await connect(server):
            await entered.wait()
            await server.server_close()

    (record,) = caplog.records
    assert "ValueError: while being cancelled" in (record.exc_text or "")


async def test_hostile_text_cannot_forge_a_log_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Quoting(StreamRequestHandler):
        async def handle(self) -> None:
            line = await self.rfile.readline()
            raise ValueError(line.decode("latin-1"))

    async with serving(TCPServer(LOOPBACK, Quoting)) as server:
        async with await connect(server) as client:
            await client.send_all(b"x\x1b[2J\rERROR forged\x85\n")
            await receive_all(client)

    (record,) = caplog.records
    lines = logging.Formatter().format(record).splitlines()
    assert all(line.startswith("  ") for line in lines[1:])
    assert lines[-1] == "  ValueError: x\\x1b[2J\\rERROR forged\\x85"


async def test_what_a_client_does_wrong_is_one_line_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "trioserver")
    async with serving(TCPServer(LOOPBACK, UpperHandler)) as server:
        async with await connect(server) as client:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.send_all, b"x" * 70_000)
                assert await receive_all(client) == b""

    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.INFO, None)
    assert "a line is too long" in record.getMessage()
