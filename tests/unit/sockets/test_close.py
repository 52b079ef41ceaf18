from __future__ import annotations

import errno
import logging
import socket

import pytest

from trioserver._sockets.close import close_socket


class Failing(socket.socket):
    """Closes, and says that something was wrong."""

    def close(self) -> None:
        super().close()
        raise OSError(errno.EIO, "Input/output error")


def test_what_closing_says_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "trioserver")
    sock = Failing()

    close_socket(sock)

    assert sock.fileno() == -1
    assert caplog.messages == [
        "Closing a socket said OSError: [Errno 5] Input/output error"
    ]
