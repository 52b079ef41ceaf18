"""What may take the place of the real network under a server."""

from __future__ import annotations

from typing import Protocol

from trioserver._servers.base import BaseServer


class Network(Protocol):
    """A network that servers can be moved to before they serve."""

    def adopt(self, server: BaseServer, /) -> object:
        """Let *server* serve in this network, and no longer in the real one."""
        ...
