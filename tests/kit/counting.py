"""Count what a server does: calls of the system, and steps of its tasks."""

from __future__ import annotations

import select
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio

from trioserver import TCPServer

CALLS: Counter[str] = Counter()


class CountedSocket(socket.socket):
    """Counts what it is asked to do."""

    __slots__ = ()

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        CALLS["recv"] += 1
        return super().recv(size, flags)

    def send(self, data: bytes | bytearray | memoryview, flags: int = 0, /) -> int:  # type: ignore[override]  # what is sent here
        CALLS["send"] += 1
        return super().send(data, flags)

    def shutdown(self, how: int, /) -> None:
        CALLS["shutdown"] += 1
        super().shutdown(how)

    def recvfrom(self, size: int, flags: int = 0, /) -> tuple[bytes, object]:
        CALLS["recvfrom"] += 1
        return super().recvfrom(size, flags)

    def sendto(self, data: bytes, flags: int, address: str, /) -> int:  # type: ignore[override]  # as it is called here
        CALLS["sendto"] += 1
        return super().sendto(data, flags, address)


class CountedEpoll:
    """Counts what an epoll is told; each of these is an epoll_ctl(2)."""

    def __init__(self, epoll: select.epoll) -> None:
        self._epoll = epoll
        self.fileno = epoll.fileno
        self.poll = epoll.poll

    def register(self, descriptor: int, events: int) -> None:
        CALLS["epoll_ctl"] += 1
        self._epoll.register(descriptor, events)

    def modify(self, descriptor: int, events: int) -> None:
        CALLS["epoll_ctl"] += 1
        self._epoll.modify(descriptor, events)

    def unregister(self, descriptor: int) -> None:
        CALLS["epoll_ctl"] += 1
        self._epoll.unregister(descriptor)


class Steps(trio.abc.Instrument):
    """Counts the steps of all tasks but one, by their names."""

    def __init__(self, but: trio.lowlevel.Task) -> None:
        self.but = but
        self.counts: Counter[str] = Counter()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is not self.but:
            self.counts[task.name.rpartition(".")[2]] += 1


@contextmanager
def counting(server: TCPServer) -> Iterator[Counter[str]]:
    """Count calls, and the steps of all tasks but this one. Yield the steps."""
    CALLS.clear()
    here = trio.lowlevel.current_task()
    steps = Steps(here)
    manager = here._runner.io_manager
    trio.lowlevel.add_instrument(steps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manager, "_epoll", CountedEpoll(manager._epoll))
        if (epoll := server._poller._epoll) is not None:
            patch.setattr(server._poller, "_epoll", CountedEpoll(epoll))
        yield steps.counts
    trio.lowlevel.remove_instrument(steps)
