"""`MemorySocket`: a socket without a descriptor."""

from __future__ import annotations

import errno
import itertools
import socket
import warnings
from collections.abc import Callable, Iterable, Sequence
from operator import index
from typing import Final, NoReturn, cast, final
from weakref import WeakSet

import trio

from trioserver._testing.end import End, refuse, system_error
from trioserver._waiting import SelfWaiting

# Numbers for fileno(). Linux lets no process have as many open (fs.nr_open is below
# that), so that whatever the system is asked about one of these fails.
_numbers: Final = itertools.count(2**30)

# Those that are open, for who looks for leaks.
_open: Final[WeakSet[MemorySocket]] = WeakSet()

_PEEK: Final = int(socket.MSG_PEEK)

AncillaryItem = tuple[int, int, bytes]


@final
class EndWaiting:
    """How to wait for one socket, of those that an end has."""

    __slots__ = ("_busy", "_closings", "_end")

    def __init__(self, end: End) -> None:
        self._end = end
        self._busy: set[str] = set()
        self._closings = 0

    @property
    def is_readable(self) -> bool:
        """Whether a read, or an accept, would not have to wait."""
        return self._end.is_readable

    @property
    def is_hung_up(self) -> bool:
        """Whether the connection is over in both directions."""
        return self._end.is_hung_up

    async def wait_readable(self) -> None:
        """Wait until there is something to read, or to accept."""
        await self._wait("read from", lambda: self._end.is_readable)

    async def wait_writable(self) -> None:
        """Wait until there is room to write."""
        await self._wait("write to", lambda: self._end.is_writable)

    def notify_closing(self) -> None:
        """Wake whoever waits, with `trio.ClosedResourceError`."""
        self._closings += 1
        self._end.wake()

    async def _wait(self, what: str, is_ready: Callable[[], bool]) -> None:
        if what in self._busy:
            message = f"another task waits to {what} this socket"
            raise trio.BusyResourceError(message)
        closings = self._closings
        self._busy.add(what)
        try:
            await trio.lowlevel.checkpoint()
            while closings == self._closings and not is_ready():
                await self._end.wait_for_change()
        finally:
            self._busy.discard(what)
        if closings != self._closings:
            message = "another task has closed this socket"
            raise trio.ClosedResourceError(message)


@final
class MemorySocket(SelfWaiting):
    """A socket of a network in memory, non-blocking, for code that knows sockets.

    It does not call the constructor of its base, which so has no descriptor.
    """

    def __init__(self, end: End) -> None:
        """Stand for *end*, perhaps beside others."""
        self._is_open = True
        self._number = next(_numbers)
        self.end = end
        """What this stands for, also when it is closed."""
        end.sockets += 1
        _open.add(self)
        self.waiting = EndWaiting(end)

    def __repr__(self) -> str:
        state = "" if self._is_open else "closed, "
        return f"<MemorySocket {state}{self.end.address!r}>"

    def __exit__(self, *_exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        # What the interpreter says of one that has a descriptor, and does then.
        if self._is_open:
            message = f"unclosed {self!r}"
            self.close()
            warnings.warn(message, ResourceWarning, stacklevel=2, source=self)

    # What it is

    @property
    def family(self) -> socket.AddressFamily:
        """The family, as of the real one that this stands for."""
        return socket.AddressFamily(self.end.family)

    @property
    def type(self) -> socket.SocketKind:
        """The kind of socket."""
        return socket.SocketKind(self.end.kind)

    @property
    def proto(self) -> int:
        """The protocol: the usual one."""
        return 0

    @property
    def timeout(self) -> float:
        """Seconds that a call may wait: 0."""
        return 0.0

    def gettimeout(self) -> float:
        """Return the seconds that a call may wait: 0."""
        return 0.0

    def settimeout(self, value: float | None, /) -> None:
        """Refuse to wait: nobody else would run meanwhile."""
        if value != 0:
            refuse("to block", "await the Connection, or serve on a real socket")

    def setblocking(self, flag: bool, /) -> None:
        """Refuse to wait, likewise."""
        self.settimeout(None if flag else 0)

    def fileno(self) -> int:
        """Return a number that is no descriptor; -1 once this is closed."""
        return self._number if self._is_open else -1

    def getsockname(self) -> object:
        """Return the address."""
        address = self._open_end().address
        if address is None:
            return ("0.0.0.0", 0) if self.family == socket.AF_INET else ""  # noqa: S104  # as a real one
        return address

    def getpeername(self) -> object:
        """Return the address of the other end."""
        return self._open_end().peer_address()

    # What it does

    def bind(self, address: object, /) -> None:
        """Take an address; port 0 lets the network choose one."""
        self._open_end().bind(address)

    def listen(self, backlog: int = 128, /) -> None:
        """Let clients connect."""
        self._open_end().listen(backlog)

    def accept(self) -> tuple[socket.socket, object]:
        """Accept a connection. Return it, and the address of the client."""
        end, address = self._open_end().accept()
        return MemorySocket(end), address

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive what has come."""
        return self._receive(bufsize, flags)[0]

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, object]:
        """Receive what has come, and the address of the sender."""
        data, _, _, address = self._receive(bufsize, flags)
        return data, address

    def recv_into(self, buffer: object, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into *buffer*."""
        view = memoryview(cast("bytearray", buffer)).cast("B")
        data = self._receive(nbytes or len(view), flags)[0]
        view[: len(data)] = data
        return len(data)

    def recvmsg(
        self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[bytes, list[AncillaryItem], int, object]:
        """Receive what has come, with ancillary data and flags."""
        if ancbufsize and self.end.family not in {socket.AF_INET, socket.AF_INET6}:
            refuse("to receive descriptors", "serve on a real Unix socket")
        data, items, told, address = self._receive(bufsize, flags)
        return data, items if ancbufsize else [], told, address

    def send(self, data: object, flags: int = 0, /) -> int:
        """Send the first part of *data*. Return its length."""
        return self._send(data, (), None)

    def sendto(self, data: object, *flags_and_address: object) -> int:
        """Send a datagram: ``sendto(data, [flags,] address)``."""
        return self._send(data, (), flags_and_address[-1])

    def sendmsg(
        self,
        buffers: Iterable[object],
        ancdata: Iterable[tuple[int, int, object]] = (),
        flags: int = 0,
        address: object = None,
        /,
    ) -> int:
        """Send what the *buffers* hold, with ancillary data."""
        parts = [bytes(cast("bytes", part)) for part in buffers]
        return self._send(b"".join(parts), list(ancdata), address)

    def shutdown(self, how: int, /) -> None:
        """Shut one direction down, or both."""
        self._open_end().shutdown(how)

    def dup(self) -> MemorySocket:
        """Return another one that stands for the same."""
        return MemorySocket(self._open_end())

    def close(self) -> None:
        """Close it; and what it stands for, if no other does."""
        if not self._is_open:
            return
        self._is_open = False
        _open.discard(self)
        self.waiting.notify_closing()
        self.end.sockets -= 1
        if not self.end.sockets and not self.end.is_closed:
            self.end.close()

    def detach(self) -> int:
        """Be closed, and tell nobody, as in a child process that closes its copy."""
        number = self.fileno()
        self._is_open = False
        _open.discard(self)
        return number

    # Options

    def setsockopt(self, *args: object) -> None:
        """Set an option, of which few have an effect."""
        level, name, value = cast("tuple[int, int, int | bytes]", args)
        self._open_end().set_option((level, name), value)

    def getsockopt(self, level: int, optname: int, buflen: int = 0, /) -> int | bytes:  # type: ignore[override]  # two overloads there
        """Return the value of an option."""
        return self._open_end().option((level, optname), buflen)

    # Inside

    def _open_end(self) -> End:
        if not self._is_open:
            raise system_error(errno.EBADF)
        return self.end

    def _receive(
        self, max_bytes: int, flags: int
    ) -> tuple[bytes, list[AncillaryItem], int, object]:
        # As a real one, refuse what is no whole number.
        return self._open_end().receive(index(max_bytes), is_peek=bool(flags & _PEEK))

    def _send(self, data: object, ancillary: Sequence[object], address: object) -> int:
        with memoryview(cast("bytes", data)) as whole, whole.cast("B") as view:
            return self._open_end().send(view, address, ancillary)


def open_in_memory() -> dict[int, str]:
    """Return the numbers of all sockets in memory that are open, and what each is."""
    return {sock.fileno(): f"a socket in memory, {sock!r}" for sock in list(_open)}


def _refusing(name: str) -> Callable[[MemorySocket], NoReturn]:
    def method(_sock: MemorySocket, *_args: object, **_kwargs: object) -> NoReturn:
        refuse(f"socket.{name}()", "await the Connection, or serve on a real socket")

    return method


# What is left, and would speak of a bad file descriptor.
for _name in (
    "connect",
    "connect_ex",
    "makefile",
    "recvfrom_into",
    "recvmsg_into",
    "sendall",
    "sendfile",
):
    setattr(MemorySocket, _name, _refusing(_name))
