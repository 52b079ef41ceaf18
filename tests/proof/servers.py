"""The servers of the proof: every class, with everything that can run its requests."""

from __future__ import annotations

import os
import socket
import socketserver
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import attrs

import trioserver
from kit.serving import LOOPBACK
from proof.handlers import HANDLERS, AnyServer

# Whatever a class has as a setting.
Settings: TypeAlias = Mapping[str, object]

ServerClass: TypeAlias = Any  # type: ignore[explicit-any]  # of this library, or of socketserver

PATH: Final = "x.sock"


class Quiet:
    """Says nothing about errors, so that they do not fill the log."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Do nothing."""


@attrs.frozen
class Cell:
    """A row of the table of what becomes of requests in flight."""

    settings: Settings
    is_promised: bool
    """Whether requests are let go on to their end."""


_JOINED: Final = Cell({}, is_promised=True)
_GOING_ON: Final = Cell({"block_on_close": False}, is_promised=True)
_OUT_OF_TIME: Final = Cell({"drain_timeout": 0.01}, is_promised=False)

CELLS: Final[Mapping[str, Cell]] = {
    "joined": _JOINED,
    "going on": _GOING_ON,
    "out of time": _OUT_OF_TIME,
    "daemons": Cell({"daemon_requests": True}, is_promised=False),
}
"""What `docs/explanation/shutdown.md` says in its table."""


@attrs.frozen
class Model:
    """What runs the requests of a server."""

    name: str
    handlers: str = "blocking"
    """Which of `HANDLERS`."""
    settings: Settings = attrs.Factory(dict[str, object])
    one_at_a_time: Settings = attrs.Factory(dict[str, object])
    """What makes the server full with one request."""
    cells: Mapping[str, Cell] = CELLS
    cost: int = 1
    """How many times as long as in a task a request takes, roughly."""


TASKS: Final = Model("tasks", "tasks", {}, {"max_concurrent_requests": 1})

WITHOUT_EDGES: Final = attrs.evolve(
    TASKS, name="tasks without edges", settings={"edge_triggered": False}
)

# Each datagram brings the address that it was sent to: another way to receive.
EVERYWHERE: Final = attrs.evolve(TASKS, name="tasks on all addresses")

THREADS: Final = Model("threads", one_at_a_time={"max_threads": 1}, cost=2)

# Threads of socketserver's, driven from Trio.
DRIVEN: Final = Model(
    "serve_socketserver",
    settings={},
    one_at_a_time={"max_concurrent_requests": 1},
    cells={**CELLS, "daemons": Cell({"daemon_threads": True}, is_promised=False)},
    cost=2,
)

FORKS: Final = Model(
    "forks",
    settings={"cleanup_timeout": 5.0},  # a child is slow to start on a busy machine
    one_at_a_time={"max_children": 1},
    # Children are joined or ended: nobody else would wait for them.
    cells={**CELLS, "going on": attrs.evolve(_GOING_ON, is_promised=False)},
    cost=8,
)

FORKS_WITH_TRIO: Final = attrs.evolve(FORKS, name="forks with Trio", handlers="tasks")

ONE_BY_ONE: Final = attrs.evolve(DRIVEN, name="serve_socketserver one by one")

OVERRIDDEN: Final = attrs.evolve(DRIVEN, name="serve_socketserver overridden")

SESSIONS: Final = attrs.evolve(
    TASKS,
    settings={"session_timeout": 0.05},  # nobody tells a session that its peer has gone
    one_at_a_time={"max_sessions": 1},
)


class OverridingServer(socketserver.ThreadingTCPServer):
    """Overrides what can be overridden."""

    def get_request(self) -> tuple[socket.socket, object]:
        return super().get_request()

    def verify_request(self, request: object, client_address: object) -> bool:
        return True

    def service_actions(self) -> None:
        """Do nothing."""

    def process_request(self, request: object, client_address: object) -> None:
        super().process_request(request, client_address)  # type: ignore[arg-type]  # whatever has come

    def server_close(self) -> None:
        super().server_close()


@attrs.frozen
class Subject:
    """A server class, and what runs its requests."""

    name: str
    """What it is counted as: the class, whatever runs its requests."""
    model: Model
    class_: ServerClass
    address: object

    def __str__(self) -> str:
        return f"{self.name} {self.model.name}".replace(" ", "-")

    @property
    def is_stream(self) -> bool:
        """Whether its requests are connections."""
        return not issubclass(
            self.class_, trioserver.UDPServer | socketserver.UDPServer
        )

    @property
    def is_driven(self) -> bool:
        """Whether it is an object of socketserver's."""
        return issubclass(self.class_, socketserver.BaseServer)

    @property
    def can_be_reset(self) -> bool:
        """Whether its clients can do more than to close their connections."""
        return self.name == "TCPServer" and not self.is_forking

    @property
    def is_forking(self) -> bool:
        """Whether requests run in child processes."""
        return self.model in (FORKS, FORKS_WITH_TRIO)

    def make(self, behaviour: str, settings: Settings) -> AnyServer:
        """Make a server whose handlers do as *behaviour* says."""
        kind = "stream" if self.is_stream else "datagram"
        kind = f"{kind}, {self.model.handlers}"
        if self.class_ is trioserver.UDPSessionServer:
            kind = "sessions"
        class_ = type(f"Quiet{self.class_.__name__}", (Quiet, self.class_), {})
        server = class_(self.address, HANDLERS[kind][behaviour])
        for name, value in {**self.model.settings, **settings}.items():
            setattr(server, name, value)
        return server


# In the abstract name space: of a path, socketserver leaves a file behind.
_NAME: Final = f"\0trioserver-proof-{os.getpid()}"

SUBJECTS: Final = [
    Subject(name, model, class_, address)
    for name, model, class_, address in (
        ("TCPServer", TASKS, trioserver.TCPServer, LOOPBACK),
        ("TCPServer", WITHOUT_EDGES, trioserver.TCPServer, LOOPBACK),
        ("TCPServer", THREADS, trioserver.ThreadingTCPServer, LOOPBACK),
        ("TCPServer", FORKS, trioserver.ForkingTCPServer, LOOPBACK),
        ("TCPServer", FORKS_WITH_TRIO, trioserver.ForkingTCPServer, LOOPBACK),
        ("TCPServer", DRIVEN, socketserver.ThreadingTCPServer, LOOPBACK),
        ("TCPServer", ONE_BY_ONE, socketserver.TCPServer, LOOPBACK),
        ("TCPServer", OVERRIDDEN, OverridingServer, LOOPBACK),
        ("UnixStreamServer", TASKS, trioserver.UnixStreamServer, PATH),
        ("UnixStreamServer", WITHOUT_EDGES, trioserver.UnixStreamServer, PATH),
        ("UnixStreamServer", THREADS, trioserver.ThreadingUnixStreamServer, PATH),
        ("UnixStreamServer", FORKS, trioserver.ForkingUnixStreamServer, PATH),
        ("UnixStreamServer", DRIVEN, socketserver.ThreadingUnixStreamServer, _NAME),
        ("UDPServer", TASKS, trioserver.UDPServer, LOOPBACK),
        ("UDPServer", EVERYWHERE, trioserver.UDPServer, ("0.0.0.0", 0)),  # noqa: S104  # see there
        ("UDPServer", THREADS, trioserver.ThreadingUDPServer, LOOPBACK),
        ("UDPServer", FORKS, trioserver.ForkingUDPServer, LOOPBACK),
        ("UDPServer", FORKS_WITH_TRIO, trioserver.ForkingUDPServer, LOOPBACK),
        ("UDPServer", DRIVEN, socketserver.ThreadingUDPServer, LOOPBACK),
        ("UDPServer", ONE_BY_ONE, socketserver.UDPServer, LOOPBACK),
        ("UnixDatagramServer", TASKS, trioserver.UnixDatagramServer, PATH),
        ("UnixDatagramServer", THREADS, trioserver.ThreadingUnixDatagramServer, PATH),
        ("UnixDatagramServer", FORKS, trioserver.ForkingUnixDatagramServer, PATH),
        ("UnixDatagramServer", DRIVEN, socketserver.ThreadingUnixDatagramServer, _NAME),
        ("UDPSessionServer", SESSIONS, trioserver.UDPSessionServer, LOOPBACK),
    )
]
"""All of them. Sessions are dialogues of tasks: no mix-in has a handler for them."""
