"""The other end of `processes`: a program that does what it is asked to."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeAlias

import trio

from soak.processes import Value

# What can be asked for. Each has parameters of its own.
Command: TypeAlias = Callable[..., Awaitable[Value]]  # type: ignore[explicit-any]  # JSON names them


async def obey(commands: Mapping[str, Command]) -> None:
    """Do what is asked for on standard input, until it ends."""
    async for line in _lines():
        request = json.loads(line)
        answer: dict[str, Value]
        try:
            result = await commands[request["command"]](**request["options"])
            answer = {
                "result": result if isinstance(result, dict) else {"value": result}
            }
        except Exception as error:  # whoever has asked must hear of it
            answer = {"error": repr(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


async def _lines() -> AsyncIterator[bytes]:
    held = b""
    async with trio.lowlevel.FdStream(os.dup(0)) as stream:
        async for data in stream:
            *lines, held = (held + data).split(b"\n")
            for line in lines:
                yield line
