"""Be the server under test: `python -m soak.serve`, led by its standard input."""

from __future__ import annotations

import gc
import logging
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import attrs
import trio

from soak.obedience import obey
from soak.probes import count_descriptors, resident_bytes
from soak.processes import Value
from soak.services import SERVICES, make_web_server
from trioserver import BaseServer, UDPServer, serve_socketserver
from trioserver._engine.task_pool import TaskPool
from trioserver._testing.task_tree import all_tasks

# As the standard library's basicConfig() writes it.
FORMAT: Final = "%(levelname)s:%(name)s:%(message)s"

# An object of the standard library's, which is driven.
WEB: Final = "web"


@attrs.define
class Run:
    """A server that serves, and its end."""

    server: BaseServer | None
    """None where it is none of ours."""

    ended: trio.Event = attrs.field(factory=trio.Event)


class RecordCounter(logging.Handler):
    """Counts what is logged: the file has lines, and they need not be as many."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count."""
        self.count += 1


@attrs.define
class ServerProgram:
    """The commands."""

    nursery: trio.Nursery
    directory: Path
    records: RecordCounter
    runs: dict[str, Run] = attrs.field(factory=dict)

    async def start(self, service: str, **settings: Value) -> Value:
        """Serve, and return the address."""
        if service == WEB:
            return await self._start_web()
        server = SERVICES[service](self.directory)
        for name, value in settings.items():
            # `timeout` is an attribute of both, and it is the handler's that is meant.
            handler = server.RequestHandlerClass
            setattr(handler if hasattr(handler, name) else server, name, value)
        run = self.runs[service] = Run(server)
        await self.nursery.start(self._serve, run)
        return _plain(server.server_address)

    async def start_once(self, service: str, **settings: Value) -> Value:
        """Serve, unless it is served already, and return the address."""
        run = self.runs.get(service)
        if run is None:
            return await self.start(service, **settings)
        assert run.server is not None
        return _plain(run.server.server_address)

    async def _serve(self, run: Run, task_status: trio.TaskStatus[BaseServer]) -> None:
        assert run.server is not None
        try:
            await run.server.serve(task_status=task_status)
        finally:
            run.ended.set()

    async def _start_web(self) -> Value:
        self.runs[WEB] = Run(None)
        server = make_web_server()
        await self.nursery.start(serve_socketserver, server)
        return _plain(server.server_address)

    async def stop(self, service: str) -> Value:
        """Stop patiently, and return the seconds that it took."""
        run = self.runs.pop(service)
        assert run.server is not None
        began = time.monotonic()
        await run.server.shutdown()
        await run.ended.wait()
        return time.monotonic() - began

    async def figures(self) -> Value:
        """Return what the process holds, when all requests have ended."""
        servers = [run.server for run in self.runs.values() if run.server is not None]
        with trio.move_on_after(20):
            while any(server.requests_in_flight for server in servers):  # noqa: ASYNC110
                await trio.sleep(0.05)
        return await self.figures_now()

    async def figures_now(self) -> Value:
        """Return what the process holds."""
        for _ in range(3):
            gc.collect()
        servers = [run.server for run in self.runs.values() if run.server is not None]
        return {
            "memory": resident_bytes(),
            "blocks": sys.getallocatedblocks(),
            "descriptors": count_descriptors(),
            "tasks": _count_tasks(),
            "threads": threading.active_count(),
            "in flight": sum(server.requests_in_flight for server in servers),
            "records": self.records.count,
            "cpu": time.process_time(),
        }

    async def statistics(self, service: str) -> Value:
        """Return what has become of the datagrams."""
        server = self.runs[service].server
        assert isinstance(server, UDPServer)
        return attrs.asdict(server.statistics())

    async def forge(self, service: str, count: int) -> Value:
        """Send datagrams to the server that say they come from itself."""
        server = self.runs[service].server
        assert isinstance(server, UDPServer)
        for _ in range(count):
            server.socket.sendto(b"forged", server.server_address)
            await trio.lowlevel.checkpoint()
        return count

    async def limit_descriptors(self, spare: int) -> Value:
        """Allow *spare* more open files than there are."""
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = count_descriptors() + spare
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
        return limit


def _plain(address: object) -> Value:
    """Return an address as JSON has it."""
    if isinstance(address, str):
        return address
    assert isinstance(address, tuple)
    host, port = address[:2]
    return [str(host), int(port)]


def _count_tasks() -> int:
    return sum(not _waits_for_work(task) for task in all_tasks())


def _waits_for_work(task: trio.lowlevel.Task) -> bool:
    """Whether *task* is one that requests use again; how many are kept is bounded."""
    return any(
        frame.f_code is TaskPool.next_work.__code__
        for frame, _ in task.iter_await_frames()
    )


async def serve(directory: Path) -> None:
    """Serve what is asked for, until standard input ends."""
    records = RecordCounter()
    logging.basicConfig(format=FORMAT, level=logging.DEBUG)
    logging.getLogger().addHandler(records)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    async with trio.open_nursery() as nursery:
        program = ServerProgram(nursery, directory, records)
        await obey(
            {
                command.__name__: command
                for command in (
                    program.start,
                    program.start_once,
                    program.stop,
                    program.figures,
                    program.figures_now,
                    program.statistics,
                    program.forge,
                    program.limit_descriptors,
                )
            }
        )
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        trio.run(serve, Path(place))
