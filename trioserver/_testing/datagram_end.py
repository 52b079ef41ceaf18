"""A datagram socket in memory, with what Linux says and does at each call."""

from __future__ import annotations

import errno
import heapq
import ipaddress
import socket
import struct
from collections import deque
from collections.abc import Sequence
from typing import Final, cast, final

import attrs

from trioserver._testing.address_book import AddressBook, host_and_port
from trioserver._testing.end import End, Option, refuse, system_error
from trioserver._testing.path import Path, now
from trioserver._testing.wires import Wires

AncillaryItem = tuple[int, int, bytes]

# The most that fits in one: of UDP, 65535 less the headers of IPv4 and UDP; of a local
# socket, what Linux lets wait to be sent (net.core.wmem_default).
_MAX_BYTES: Final = {True: 212_960, False: 65507}

# Datagrams that wait to be received: of a local socket, as net.unix.max_dgram_qlen is
# on most systems, and one more. Linux counts the bytes of UDP, and 256 is what fits of
# those that are small.
_MAX_QUEUED: Final = {True: 11, False: 256}

# SO_MEMINFO of Linux's asm-generic/socket.h: nine numbers, of which the last counts
# what has found no room.
_MEMINFO: Final = (socket.SOL_SOCKET, 55)

# What tells where a datagram was sent to: the option, and the item that then comes.
_IP_PKTINFO: Final = 8  # Python has no name for it before 3.14
_IPV6_PKTINFO: Final = getattr(socket, "IPV6_PKTINFO", -1)
_ASKED: Final = (
    (socket.IPPROTO_IP, _IP_PKTINFO),
    (socket.IPPROTO_IPV6, getattr(socket, "IPV6_RECVPKTINFO", -1)),
)
# struct in_pktinfo and struct in6_pktinfo; the first interface is the loopback.
_IPV4: Final = struct.Struct("=i4s4s")
_IPV6: Final = struct.Struct("=16sI")


@attrs.frozen
class Parcel:
    """A datagram on its way."""

    data: bytes
    source: object
    destination: object


@final
class DatagramEnd(End):
    """What sends and receives datagrams."""

    def __init__(self, family: int, book: AddressBook, wires: Wires) -> None:
        """Make one without an address.

        Args:
            family: The family of its sockets.
            book: Who has which address.
            wires: What its clients are connected with.
        """
        super().__init__(family, socket.SOCK_DGRAM)
        self.book = book
        self.wires = wires
        self.paths: tuple[Path, Path] | None = None
        """Of a client: its way to others, and theirs to it."""
        self.peer: object = None
        """The only one that it sends to and receives from, if it is connected."""
        self._is_local = family not in {socket.AF_INET, socket.AF_INET6}
        self._in_flight: list[tuple[float, int, Parcel]] = []
        self._sent = 0
        self._queue: deque[Parcel] = deque()
        self.blocked: list[DatagramEnd] = []
        """Who has found no room here."""
        self._dropped = 0

    # What a socket does

    def bind(self, address: object) -> None:
        """Take an address."""
        self.address = self.book.claim(self, address)

    def peer_address(self) -> object:
        """Return the address that it is connected to."""
        return super().peer_address() if self.peer is None else self.peer

    def send(self, data: memoryview, address: object, ancillary: object) -> int:
        """Send a datagram."""
        self._raise_error()
        if len(data) > _MAX_BYTES[self._is_local]:
            raise system_error(errno.EMSGSIZE)
        to = self.peer if address is None else address
        if to is None:
            raise system_error(errno.EDESTADDRREQ)
        receiver = self._at(to)
        if receiver is None:
            return self._send_to_nobody(len(data))
        if self._is_local and receiver.is_full:
            receiver.blocked.append(self)
            raise BlockingIOError(errno.EAGAIN, "no room")
        parcel = Parcel(bytes(data), self._source(ancillary), to)
        if receiver.accepts(parcel.source):
            receiver.deliver(parcel, self.paths or receiver.paths)
        return len(data)

    def receive(
        self, max_bytes: int, *, is_peek: bool
    ) -> tuple[bytes, list[AncillaryItem], int, object]:
        """Receive a datagram; what is longer than *max_bytes* is cut."""
        self._settle()
        self._raise_error()
        if not self._queue:
            raise BlockingIOError(errno.EAGAIN, "nothing has come")
        parcel = self._queue[0] if is_peek else self._queue.popleft()
        self._tell_of_room()
        is_cut = len(parcel.data) > max_bytes
        flags = int(getattr(socket, "MSG_TRUNC", 0)) if is_cut else 0
        return parcel.data[:max_bytes], self._items(parcel), flags, parcel.source

    def close(self) -> None:
        """Give the address back."""
        self.book.release(self)
        super().close()
        self._tell_of_room()

    def set_option(self, option: Option, value: int | bytes) -> None:
        """Remember the *value* of an *option*."""
        if option in _ASKED:
            self._options[option] = value
        else:
            super().set_option(option, value)

    def option(self, option: Option, length: int) -> int | bytes:
        """Return the value of an *option*."""
        if option == _MEMINFO:
            self._settle()
            return struct.pack("=9I", *([0] * 8), self._dropped)[:length]
        return super().option(option, length)

    # For other ends

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another one."""
        return len(self._queue) + len(self._in_flight) >= _MAX_QUEUED[self._is_local]

    def accepts(self, sender: object) -> bool:
        """Whether *sender* is one from whom this receives."""
        return self.peer is None or host_and_port(self.peer) == host_and_port(sender)

    def deliver(self, parcel: Parcel, paths: tuple[Path, Path] | None) -> None:
        """Let *parcel* arrive, along the *paths* of whoever is the client.

        Without any, at once.
        """
        arrivals = [now()]
        if paths is not None:
            way = paths[1] if paths is self.paths else paths[0]
            arrivals = way.copies(len(parcel.data))
        for arrival in arrivals:
            # The number: what arrives at one time arrives in its order.
            self._sent += 1
            heapq.heappush(self._in_flight, (arrival, self._sent, parcel))
        self.wake()

    # Waiting

    @property
    def is_readable(self) -> bool:
        """Whether a receive would not have to wait."""
        self._settle()
        return bool(self._queue or self._error)

    @property
    def is_writable(self) -> bool:
        """Whether a send would not have to wait.

        Always, unless it is connected: as on Linux, which does not know to whom.
        """
        if self.peer is None or not self._is_local:
            return True
        receiver = self._at(self.peer)
        if receiver is None or not receiver.is_full:
            return True
        receiver.blocked.append(self)
        return False

    @property
    def next_change(self) -> float:
        """When the next one arrives."""
        return self._in_flight[0][0] if self._in_flight else super().next_change

    # Inside

    def _at(self, address: object) -> DatagramEnd | None:
        """Return who receives what is sent to *address*."""
        end = self.book.find(self.kind, address)
        return end if isinstance(end, DatagramEnd) else None

    def _tell_of_room(self) -> None:
        blocked, self.blocked = self.blocked, []
        for end in blocked:
            end.wake()

    def _settle(self) -> None:
        """Take what has arrived, and drop what finds no room."""
        time = now()
        while self._in_flight and self._in_flight[0][0] <= time:
            parcel = heapq.heappop(self._in_flight)[2]
            if len(self._queue) < _MAX_QUEUED[self._is_local]:
                self._queue.append(parcel)
            else:
                self._dropped += 1

    def _raise_error(self) -> None:
        if self._error:
            raise self._told()

    def _send_to_nobody(self, size: int) -> int:
        """Fail, now or, as the network tells it only later, with the next call."""
        if self._is_local:
            raise system_error(errno.ECONNREFUSED)
        if self.peer is not None:
            self._error = errno.ECONNREFUSED
            self.wake()
        return size

    def _source(self, ancillary: object) -> object:
        """Return where a datagram leaves from, which *ancillary* data may say."""
        address = self.address
        for level, kind, data in cast("Sequence[AncillaryItem]", ancillary):
            if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
                address = _with_host(address, socket.inet_ntoa(data[4:8]))
            elif (level, kind) == (socket.IPPROTO_IPV6, _IPV6_PKTINFO):
                host = socket.inet_ntop(socket.AF_INET6, data[:16])
                address = _with_host(address, host)
            else:
                refuse("to pass descriptors", "serve on a real Unix socket")
        return address

    def _items(self, parcel: Parcel) -> list[AncillaryItem]:
        """Return what tells where *parcel* was sent to, if that was asked for."""
        if not any(self._options.get(option) for option in _ASKED):
            return []
        host = ipaddress.ip_address(cast("tuple[str, int]", parcel.destination)[0])
        if host.version == 4:  # noqa: PLR2004  # of the protocol
            data = _IPV4.pack(1, host.packed, host.packed)
            return [(socket.IPPROTO_IP, _IP_PKTINFO, data)]
        return [(socket.IPPROTO_IPV6, _IPV6_PKTINFO, _IPV6.pack(host.packed, 1))]


def _with_host(address: object, host: str) -> object:
    _, *rest = cast("tuple[object, ...]", address)
    return (host, *rest)
