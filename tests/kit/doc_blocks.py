"""Execute the Python blocks of a page of documentation, in order, in one namespace.

Three things are bent, so that a page may show what a reader would type: port 9999 is
replaced by 0, a path below ``/run`` by one that a test may use, and
``trio.run(server.serve)`` serves one client instead of for ever.
"""

from __future__ import annotations

import ast
import inspect
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Final, TypeVarTuple

import attrs
import pytest
import trio
from sybil import Document, Example
from sybil.parsers.myst import CodeBlockParser

from kit.datagrams import ask, open_client
from kit.serving import STUCK, connect, receive_all
from trioserver import BaseServer, TCPServer, UDPServer

# The port that the standard library's examples use, and ours with them.
SHOWN_PORT: Final = 9999

# Where Unix sockets are shown. Each program that runs a page has its own.
SHOWN_DIRECTORY: Final = "/run/"
_PREFIX: Final = f"{tempfile.gettempdir()}/docs-{os.getpid()}-"

PosArgsT = TypeVarTuple("PosArgsT")

GREETING: Final = b"hello\n"

# While a block runs, its own trio.run() is another one.
_run = trio.run


@attrs.define
class BlockEvaluator:
    """Executes blocks; a block may ``await`` at its top level."""

    replies: list[bytes] = attrs.Factory(list)
    """What each server that a block of the page ran has answered to `GREETING`.

    A hidden block on the page can check them, under the name ``_replies``.
    """

    def __call__(self, example: Example) -> None:
        code = _compiled(example)
        self.replies = example.namespace.setdefault("_replies", [])
        before = _servers(example.namespace)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trio, "run", self._run_briefly)
            result = eval(code, example.namespace)  # noqa: S307  # our own pages
            if inspect.iscoroutine(result):
                _run(_in_time, lambda: result)
        # A name now means another server: the former one is out of reach.
        _close(before - _servers(example.namespace))

    def _run_briefly(
        self,
        function: Callable[[*PosArgsT], Awaitable[object]],
        *args: *PosArgsT,
        clock: trio.abc.Clock | None = None,
        instruments: Sequence[trio.abc.Instrument] = (),
    ) -> object:
        server = getattr(function, "__self__", None)
        if isinstance(server, TCPServer) and function == server.serve:
            return _run(_in_time, partial(self._talk_to, server))
        if clock is not None:
            # A clock that jumps must not jump to the end of our patience.
            main = partial(function, *args)
            return _run(main, clock=clock, instruments=instruments)
        return _run(_in_time, partial(function, *args))

    async def _talk_to(self, server: TCPServer) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            if isinstance(server, UDPServer):
                with open_client(server) as datagrams:
                    self.replies.append(await ask(datagrams, GREETING))
            else:
                async with await connect(server) as client:
                    await client.send_all(GREETING)
                    await client.send_eof()
                    self.replies.append(await receive_all(client))
            await server.shutdown()


async def _in_time(function: Callable[[], Awaitable[object]]) -> object:
    with trio.fail_after(STUCK):
        return await function()


def python_blocks(evaluator: BlockEvaluator) -> CodeBlockParser:
    """Return what finds the Python blocks of a page."""
    return CodeBlockParser("python", evaluator)


def evaluate_page(page: Path, evaluator: BlockEvaluator) -> None:
    """Execute every block of *page*, and close what is left over."""
    document = Document.parse(str(page), python_blocks(evaluator))
    try:
        for example in document.examples():
            example.evaluate()
    finally:
        close_servers(document.namespace)


def close_servers(namespace: Mapping[str, object]) -> None:
    """Close the sockets of the servers that a page has made and not run."""
    _close(_servers(namespace))


def _servers(namespace: Mapping[str, object]) -> set[BaseServer]:
    return {value for value in namespace.values() if isinstance(value, BaseServer)}


def _close(servers: set[BaseServer]) -> None:
    for server in servers:
        with server:
            pass


def _compiled(example: Example) -> CodeType:
    """Compile a block so that tracebacks name the line of its page."""
    padding = "\n" * (example.line + example.parsed.line_offset)
    tree = ast.parse(padding + example.parsed, example.path)
    tree = ast.fix_missing_locations(_AnyPlace().visit(tree))
    code: CodeType = compile(
        tree,
        example.path,
        "exec",
        flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        dont_inherit=True,
    )
    return code


class _AnyPlace(ast.NodeTransformer):
    """Replaces what a test cannot have: the port, and what is below ``/run``."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        if node.value == SHOWN_PORT:
            return ast.copy_location(ast.Constant(0), node)
        if isinstance(node.value, str) and node.value.startswith(SHOWN_DIRECTORY):
            path = node.value.replace(SHOWN_DIRECTORY, _PREFIX, 1)
            return ast.copy_location(ast.Constant(path), node)
        return node
