"""Why a server cannot listen, in words."""

from __future__ import annotations

import errno
import socket

import pytest

from trioserver._cli.bind_address import BindAddress
from trioserver._cli.listening import explain


@pytest.mark.parametrize(
    ("host", "error", "explanation"),
    [
        (
            "localhost",
            OSError(errno.EADDRINUSE, "cannot bind localhost:80: taken: take another"),
            "cannot bind localhost:80: taken: take another",
        ),
        (
            "localhost",
            OSError(errno.EMFILE, "Too many open files"),
            "cannot listen on tcp://localhost:80: Too many open files",
        ),
        (
            "localhost",
            OSError("out of order"),
            "cannot listen on tcp://localhost:80: out of order",
        ),
        (
            "::1",
            OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol"),
            "cannot listen on tcp://[::1]:80: this machine has no IPv6; use IPv4",
        ),
        (
            "127.0.0.1",
            OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol"),
            (
                "cannot listen on tcp://127.0.0.1:80: Address family not supported by "
                "protocol"
            ),
        ),
        (
            "nowhere",
            socket.gaierror(socket.EAI_NONAME, "cannot find the host of nowhere:80"),
            (
                "cannot find the host of nowhere:80: check the spelling, or use an "
                "address of this machine, as in tcp://127.0.0.1:9999"
            ),
        ),
    ],
)
def test_explains_where_it_cannot_listen_and_why(
    host: str, error: OSError, explanation: str
) -> None:
    assert explain(BindAddress(host, 80), error) == explanation
