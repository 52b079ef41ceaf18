"""What clients in memory have in common: links that can be changed."""

from __future__ import annotations

from trioserver._testing.link import Link
from trioserver._testing.path import Path


class Linked:
    """A client, perhaps of a `MemoryNetwork`."""

    def __init__(self, paths: tuple[Path, Path] | None) -> None:
        """Make a client with *paths* there and back, if it is in memory."""
        self._paths = paths

    @property
    def link(self) -> Link:
        """How the connection behaves; to set it sets both directions.

        In a `MemoryNetwork` alone. It may be changed at any time, and takes effect at
        once; what is on its way arrives when it would have arrived.
        """
        return self.uplink

    @link.setter
    def link(self, link: Link) -> None:
        for path in self._known_paths():
            path.link = link

    @property
    def uplink(self) -> Link:
        """How the direction to the server behaves."""
        return self._known_paths()[0].link

    @uplink.setter
    def uplink(self, link: Link) -> None:
        self._known_paths()[0].link = link

    @property
    def downlink(self) -> Link:
        """How the direction from the server behaves."""
        return self._known_paths()[1].link

    @downlink.setter
    def downlink(self, link: Link) -> None:
        self._known_paths()[1].link = link

    def _known_paths(self) -> tuple[Path, Path]:
        if self._paths is None:
            message = "only connections of a MemoryNetwork have a link"
            raise ValueError(message)
        return self._paths
