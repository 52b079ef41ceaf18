"""What connects the ends of a network: the paths, and the link that they have."""

from __future__ import annotations

from typing import final
from weakref import WeakSet

from trioserver._testing.link import Link, check_link
from trioserver._testing.path import Path


@final
class Wires:
    """All paths of a network."""

    __slots__ = ("_count", "_link", "_paths")

    def __init__(self, link: Link) -> None:
        """Let all paths have *link*, unless they get one of their own."""
        check_link(link)
        self._link = link
        self._count = 0
        self._paths: WeakSet[Path] = WeakSet()

    @property
    def link(self) -> Link:
        """The link of all paths that have none of their own."""
        return self._link

    @link.setter
    def link(self, link: Link) -> None:
        check_link(link)
        changed = [path for path in self._paths if path.has_default]
        for path in changed:
            path.begin_change()
        self._link = link
        for path in changed:
            path.end_change()

    def pair(self, link: Link | None) -> tuple[Path, Path]:
        """Return new paths, there and back, both with *link* if there is one."""
        there, back = self._new(), self._new()
        if link is not None:
            there.link = back.link = link
        return there, back

    def _new(self) -> Path:
        self._count += 1
        path = Path(lambda: self._link, self._count)
        self._paths.add(path)
        return path
