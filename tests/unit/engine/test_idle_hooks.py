"""A hook that does nothing is not called; one that somebody has put there is."""

from __future__ import annotations

import functools

import pytest

from trioserver import BaseRequestHandler, BaseServer, UDPServer
from trioserver._engine.admission import Admission
from trioserver._engine.hooks import is_idle
from trioserver._engine.request import run_request


class Server(BaseServer):
    """Notes what it processes."""

    def __init__(self) -> None:
        super().__init__("nowhere", BaseRequestHandler)
        self.processed: list[object] = []

    async def process_request(self, request: object, _client_address: object) -> None:
        self.processed.append(request)


def refuse(*_: object) -> bool:
    return False


async def ask(server: Server) -> list[object]:
    await run_request(server, "request", "address", Admission(1).slot())
    return server.processed


async def test_ours_is_not_missed() -> None:
    server = Server()

    assert is_idle(server.verify_request)
    assert await ask(server) == ["request"]


async def test_one_in_the_object_is_called_from_then_on() -> None:
    server = Server()
    server.verify_request = refuse  # type: ignore[method-assign, assignment]  # as users do

    assert await ask(server) == []


async def test_one_that_comes_into_the_class_later_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server()
    monkeypatch.setattr(BaseServer, "verify_request", refuse)

    assert await ask(server) == []


async def test_one_that_wraps_ours_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    wrapped = functools.wraps(BaseServer.verify_request)(refuse)
    monkeypatch.setattr(Server, "verify_request", wrapped)

    assert await ask(server) == []


@pytest.mark.parametrize(
    "hook",
    [
        UDPServer.close_request,
        BaseRequestHandler.setup,
        BaseRequestHandler.finish,
    ],
)
def test_a_function_is_no_hook_until_it_is_bound(hook: object) -> None:
    assert not is_idle(hook)
    assert is_idle(hook.__get__(object()))  # type: ignore[attr-defined]  # a function
