"""`ServerSocket`: the socket of a server that accepts connections."""

from __future__ import annotations

import socket
import sys
from typing import Any, Final, Self

# Where multiprocessing keeps how it sends what pickle refuses.
_REDUCTION: Final = "multiprocessing.reduction"


class ServerSocket(socket.socket):
    """A socket whose family and type are found out once.

    `socket.socket.accept` asks for both, and each time it takes more than 2 000
    instructions to find out which member of an enumeration it is (CPython 3.13).
    """

    __slots__ = ("_family", "_type", "is_copied")

    def __init__(
        self,
        family: int = -1,
        type: int = -1,  # noqa: A002  # as Python's own has it
        proto: int = -1,
        fileno: int | None = None,
    ) -> None:
        super().__init__(family, type, proto, fileno)
        self._family = super().family
        self._type = super().type
        self.is_copied = False
        """Whether another socket was made of this one, here or in another process."""

    @property
    def family(self) -> socket.AddressFamily:
        """The address family."""
        return self._family

    @property
    def type(self) -> socket.SocketKind:
        """The kind of socket."""
        return self._type

    def dup(self) -> Self:
        """Return another socket that is the same for the system."""
        self.is_copied = True
        return super().dup()

    def __reduce_ex__(self, protocol: Any) -> Any:  # type: ignore[explicit-any]  # as typeshed has it  # noqa: ANN401  # likewise
        """Let `multiprocessing` send it to another process, as it does any socket.

        It looks for the very class of what it sends, and knows that of Python's sockets
        alone. Who pickles without it is refused, by Python's.
        """
        reduction = sys.modules.get(_REDUCTION)
        if reduction is None:
            return super().__reduce_ex__(protocol)
        self.is_copied = True
        return reduction._reduce_socket(self)  # noqa: SLF001  # no other name for it
