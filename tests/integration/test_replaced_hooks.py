"""Our own hooks are not always called; those that somebody has overridden are."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from kit.serving import LOOPBACK, UpperHandler, ask, connect, serving
from trioserver import BaseServer, TCPServer

REPLY = b"HELLO\n"


async def serve_one(server: TCPServer) -> bytes:
    """Serve one client, and return what it was answered."""
    async with serving(server), await connect(server) as client:
        return await ask(client, b"hello\n")


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (BaseServer, "finish_request"),
        (TCPServer, "close_request"),
        (TCPServer, "shutdown_request"),
        (BaseServer, "process_request"),
    ],
)
async def test_a_hook_that_is_put_into_our_own_class_is_called(
    owner: type[BaseServer], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    original = getattr(owner, name)

    async def hook(self: BaseServer, *arguments: object) -> None:
        calls.append(name)
        await original(self, *arguments)

    monkeypatch.setattr(owner, name, hook)

    assert await serve_one(TCPServer(LOOPBACK, UpperHandler)) == REPLY
    assert calls == [name]


@pytest.mark.parametrize("name", ["finish_request", "close_request"])
async def test_a_hook_that_is_put_into_an_object_is_called(name: str) -> None:
    calls: list[str] = []
    server = TCPServer(LOOPBACK, UpperHandler)
    original = getattr(server, name)

    async def hook(*arguments: object) -> None:
        calls.append(name)
        await original(*arguments)

    setattr(server, name, hook)

    assert await serve_one(server) == REPLY
    assert calls == [name]


async def test_a_handler_may_be_awaited_in_a_way_of_its_own() -> None:
    class Counting(UpperHandler):
        awaited = 0

        def __await__(self) -> Generator[Any, Any, None]:  # type: ignore[explicit-any]  # as the base class has it
            type(self).awaited += 1
            return super().__await__()

    assert await serve_one(TCPServer(LOOPBACK, Counting)) == REPLY
    assert Counting.awaited == 1
