"""Claim the path of a Unix socket, and give it back.

A path is never taken from a server that lives, unless that is asked for, and nothing is
removed but sockets that nobody uses. Whoever looks at the path and then changes it
holds a lock meanwhile. Connect, then unlink, then bind, as others do it, left 14 of 54
servers that had started at once without clients.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import socket
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Final

import attrs

from trioserver._log import describe, escape, log
from trioserver._sockets.unix_directory import Directory, Identity, opened
from trioserver._sockets.unix_lock import CLAIM_PATIENCE, locked
from trioserver._sockets.unix_probe import is_in_use, owner_of

# Seconds that closing waits for others who claim the same path. A file that is left
# behind is in nobody's way: the next server replaces it.
_CLOSE_PATIENCE: Final = 0.5

# A file's type, in words.
_KINDS: Final = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFREG: "a file",
    stat.S_IFIFO: "a named pipe",
}

_REMEDIES: Final = {
    errno.EACCES: (
        "the server needs the right to search the directory and to make files in it, "
        "and to replace a socket there, the right to write to that"
    ),
    errno.EPERM: "the file there belongs to somebody else, who has to remove it",
    errno.ENOENT: "make its directory first",
    errno.ENOTDIR: "what it names as a directory is none",
    errno.EROFS: "choose a directory that can be written to, as below /run",
}


_TAKEOVER: Final = (
    "choose another path, or set allow_takeover = True to take its place on purpose"
)


@attrs.define
class UnixClaim:
    """A path, and what a socket of ours has to do with it."""

    path: str
    """As it was given."""

    allow_takeover: bool
    """Whether a server that lives there gives way."""

    _directory: str
    _name: str
    # Where a stream socket is bound, until it listens.
    _beside: str
    _pid: int = attrs.field(factory=os.getpid)
    _identity: Identity | None = None

    @classmethod
    def of(cls, path: str, *, allow_takeover: bool) -> UnixClaim:
        """Return a claim of *path*, which is not made yet.

        What a relative path means is settled here: it may be given back from another
        working directory.
        """
        directory, name = os.path.split(path)
        # Not normalised: what ".." means behind a link, only the kernel knows.
        where = os.path.join(os.getcwd(), directory)  # noqa: PTH109, PTH118  # see above
        beside = f"{_leftover_prefix(name)}{secrets.token_hex(_TOKEN_BYTES)}"
        return cls(path, allow_takeover, where, name, beside)

    # Claiming

    def bind_beside(self, sock: socket.socket, mode: int) -> None:
        """Bind *sock* to another name in the same directory. `publish` follows.

        Raises:
            OSError: If the path is not free, or the file cannot be made.
        """
        with self._alone() as directory:
            self._check_free(directory)
            _remove_leftovers(directory, self._name)
            self._bind(directory, sock, self._beside, mode)

    def publish(self) -> None:
        """Put the file in its place. Its socket listens: from now on, clients find it.

        Raises:
            OSError: If the path is not free any more.
        """
        with self._alone() as directory:
            self._check_free(directory)
            directory.rename(self._beside, self._name)

    def bind_in_place(self, sock: socket.socket, mode: int) -> None:
        """Bind *sock* to the path itself.

        For datagrams, which are received from now on, and whose replies bear the name
        that the socket is bound to.

        Raises:
            OSError: If the path is not free, or the file cannot be made.
        """
        with self._alone() as directory:
            self._check_free(directory)
            directory.unlink(self._name)
            self._bind(directory, sock, self._name, mode)

    def _bind(
        self, directory: Directory, sock: socket.socket, name: str, mode: int
    ) -> None:
        """Make the file *name*, which never has more permissions than *mode*."""
        with suppress(OSError):
            # On Linux, the file is born with the mode of the socket, less the umask.
            # Elsewhere it says EINVAL.
            os.fchmod(sock.fileno(), mode)
        sock.bind(self.path if name == self._name else directory.address_of(name))
        try:
            self._identity = directory.identity_of(name)
            _set_mode(directory, name, mode)
        except BaseException:
            directory.unlink(name)
            raise

    def _check_free(self, directory: Directory) -> None:
        """Refuse to go on if the path is somebody else's.

        Raises:
            OSError: With the errno that bind(2) has for it.
        """
        status = directory.status_of(self._name)
        if status is None:
            return
        if not stat.S_ISSOCK(status.st_mode):
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a device")
            message = (
                f"there is {kind}, and nothing is replaced but a socket that nobody "
                "uses: remove it, or choose another path"
            )
            raise OSError(errno.EADDRINUSE, message)
        address = directory.address_of(self._name)
        if not self.allow_takeover and is_in_use(address):
            raise in_use(address, _TAKEOVER)

    # Giving back

    def withdraw(self) -> None:
        """Remove the file, if it is still ours. To be called before the socket closes.

        Its inode cannot be another file's as long as the socket is open. A process that
        was forked since removes nothing: its parent serves on.
        """
        if os.getpid() != self._pid:
            return
        try:
            with self._locked(_CLOSE_PATIENCE) as directory:
                for name in (self._beside, self._name):
                    if directory.identity_of(name) == self._identity:
                        directory.unlink(name)
        except OSError as error:
            # Its directory is gone, or the process has given up its privileges.
            where = escape(self.path)
            log(logging.DEBUG, f"The socket {where} stays behind: {describe(error)}")

    # The lock

    @contextmanager
    def _alone(self) -> Generator[Directory]:
        with explaining(self.path), self._locked(CLAIM_PATIENCE) as directory:
            yield directory

    @contextmanager
    def _locked(self, patience: float) -> Generator[Directory]:
        with (
            opened(self._directory) as directory,
            locked(directory, self._name, patience),
        ):
            yield directory


@contextmanager
def explaining(address: str | bytes) -> Generator[None]:
    """Let an error of the block say which *address* could not be bound, and what to do.

    Raises:
        OSError: With the ``errno`` and of the class that the system chose.
    """
    try:
        yield
    except OSError as error:
        message = f"cannot bind {escape(address)}: {error.strerror or error}"
        remedy = _REMEDIES.get(error.errno or 0)
        message = f"{message}: {remedy}" if remedy else message
        raise OSError(error.errno, message) from error


def in_use(address: str | bytes, remedies: str = "choose another name") -> OSError:
    """Return the error of somebody who wants the *address* of a server that lives."""
    pid = owner_of(address)
    owner = "another program" if pid is None else f"the process {pid}"
    message = f"{owner} listens there: stop it, or {remedies}"
    return OSError(errno.EADDRINUSE, message)


def _set_mode(directory: Directory, name: str, mode: int) -> None:
    """Add what the umask has taken away; elsewhere than on Linux, set it at all."""
    status = directory.status_of(name)
    if status is None or stat.S_IMODE(status.st_mode) == mode:
        return
    try:
        os.chmod(directory.address_of(name), mode, follow_symlinks=False)  # noqa: PTH101  # as the others
    except NotImplementedError as error:
        # What CPython says about a link: somebody has put one there.
        message = "its mode cannot be set: somebody else writes to the directory"
        raise OSError(errno.ELOOP, message) from error


# What a process leaves behind that was killed between bind and listen: a file whose
# name has this many random bytes, in hexadecimal digits.
_TOKEN_BYTES: Final = 4


def _leftover_prefix(name: str) -> str:
    return f".{name}."


def _remove_leftovers(directory: Directory, name: str) -> None:
    prefix = _leftover_prefix(name)
    length = len(prefix) + 2 * _TOKEN_BYTES
    for other in directory.names():
        # By the name at first: in a directory of 100 000 files, to look at each takes
        # a quarter of a second.
        if other.startswith(prefix) and len(other) == length:
            with suppress(OSError):
                if _is_left(directory, other):
                    directory.unlink(other)


def _is_left(directory: Directory, name: str) -> bool:
    return directory.is_socket(name) and not is_in_use(directory.address_of(name))
