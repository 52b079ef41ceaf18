"""What a failure may do to clients and to servers, and what it has done."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar, final

import attrs

from trioserver._servers.base import BaseServer

ServerT = TypeVar("ServerT", bound=BaseServer)

Probe: TypeAlias = Callable[[ServerT], Awaitable[object]]
"""Is given a server, and raises an error if it does not serve."""


@final
@attrs.define(eq=False)
class Harm:
    """The harm that is done in one run."""

    max_harmed: float = math.inf
    """How many clients may run into an error."""
    probe: Probe[BaseServer] | None = None
    """A fresh client, which must be served in the end."""
    is_probing: bool = attrs.field(default=False, init=False)
    """Whether the fresh client is being served, without any trouble."""
    is_stopping: bool = attrs.field(default=False, init=False)
    """Whether the server was told to stop, or has ended."""
    server_errors: list[type[BaseException]] = attrs.field(
        factory=list[type[BaseException]], init=False
    )
    """The kinds of errors that have come out of servers."""
    _harmed: set[int] = attrs.field(factory=set[int], init=False)

    def bears(self, error: BaseException) -> bool:
        """Whether *error* is that of one of those clients that may be harmed."""
        # By number: to keep an error would keep all that its frames hold.
        self._harmed.add(id(error))
        return len(self._harmed) <= self.max_harmed

    async def look_at(self, server: BaseServer) -> Exception | None:
        """Let the fresh client look at *server*. Return its error, if it has one."""
        if self.probe is None:
            return None
        self.is_probing = True
        try:
            await self.probe(server)
        except Exception as error:  # whatever it is, it is a finding
            return error
        finally:
            self.is_probing = False
        return None
