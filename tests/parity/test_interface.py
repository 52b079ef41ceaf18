"""The names, bases, signatures and defaults that both libraries share."""

from __future__ import annotations

import inspect
import math
import socket
import socketserver
from typing import Final

import pytest

import trioserver
from parity.libraries import SOCKETSERVER, TRIOSERVER, Either

SHARED: Final = [name for name in socketserver.__all__ if name in trioserver.__all__]

BASE_HOOKS: Final = (
    "__init__",
    "__enter__",
    "server_activate",
    "server_close",
    "shutdown",
    "handle_request",
    "handle_timeout",
    "verify_request",
    "process_request",
    "finish_request",
    "shutdown_request",
    "close_request",
    "handle_error",
    "service_actions",
    "serve_forever",
)

METHODS: Final = [
    *(("BaseServer", name) for name in BASE_HOOKS),
    *(("TCPServer", name) for name in BASE_HOOKS),
    ("TCPServer", "server_bind"),
    ("TCPServer", "get_request"),
    ("TCPServer", "fileno"),
    *(("UDPServer", name) for name in (*BASE_HOOKS, "get_request")),
    ("BaseRequestHandler", "__init__"),
    ("BaseRequestHandler", "setup"),
    ("BaseRequestHandler", "handle"),
    ("BaseRequestHandler", "finish"),
    ("StreamRequestHandler", "setup"),
    ("StreamRequestHandler", "finish"),
    ("DatagramRequestHandler", "setup"),
    ("DatagramRequestHandler", "finish"),
]

SAME_DEFAULTS: Final = [
    ("BaseServer", "timeout", None),
    ("TCPServer", "timeout", None),
    ("TCPServer", "address_family", socket.AF_INET),
    ("TCPServer", "socket_type", socket.SOCK_STREAM),
    ("TCPServer", "allow_reuse_port", False),
    ("UDPServer", "socket_type", socket.SOCK_DGRAM),
    ("UDPServer", "allow_reuse_address", False),
    ("StreamRequestHandler", "rbufsize", -1),
    ("StreamRequestHandler", "wbufsize", 0),
    ("StreamRequestHandler", "timeout", None),
    ("StreamRequestHandler", "disable_nagle_algorithm", False),
]

# Each of these is a row in the documentation's table of differences.
OTHER_DEFAULTS: Final = [
    ("TCPServer", "request_queue_size", 5, 0xFFFF),
    ("TCPServer", "allow_reuse_address", False, True),
]

ONLY_HERE: Final = [
    ("BaseServer", "max_concurrent_requests", math.inf),
    ("BaseServer", "daemon_requests", False),
    ("BaseServer", "block_on_close", True),
    ("BaseServer", "drain_timeout", math.inf),
]


@pytest.mark.parametrize("name", SHARED)
def test_has_the_same_bases(name: str) -> None:
    theirs, ours = SOCKETSERVER.class_(name), TRIOSERVER.class_(name)

    assert bases_of(ours) == bases_of(theirs)


@pytest.mark.parametrize("name", SHARED)
def test_has_every_public_attribute(name: str) -> None:
    theirs, ours = SOCKETSERVER.class_(name), TRIOSERVER.class_(name)

    assert public_attributes(theirs) - public_attributes(ours) == set()


@pytest.mark.parametrize("name", SHARED)
def test_says_where_it_is_from(name: str) -> None:
    ours = TRIOSERVER.class_(name)

    assert ours.__module__ == "trioserver"
    assert ours.__qualname__ == name


@pytest.mark.parametrize(("owner", "name"), METHODS)
def test_takes_the_same_parameters(owner: str, name: str) -> None:
    theirs = parameters_of(getattr(SOCKETSERVER.class_(owner), name))
    ours = parameters_of(getattr(TRIOSERVER.class_(owner), name))

    assert ours == theirs


@pytest.mark.parametrize(("owner", "name", "default"), SAME_DEFAULTS)
def test_has_the_same_default(owner: str, name: str, default: object) -> None:
    theirs = getattr(SOCKETSERVER.class_(owner), name)
    ours = getattr(TRIOSERVER.class_(owner), name)

    assert theirs == default
    assert ours == default


@pytest.mark.parametrize(("owner", "name", "theirs", "ours"), OTHER_DEFAULTS)
def test_has_another_default_on_purpose(
    owner: str, name: str, theirs: object, ours: object
) -> None:
    assert getattr(SOCKETSERVER.class_(owner), name) == theirs
    assert getattr(TRIOSERVER.class_(owner), name) == ours


@pytest.mark.parametrize(("owner", "name", "default"), ONLY_HERE)
def test_has_a_setting_that_socketserver_lacks(
    owner: str, name: str, default: object
) -> None:
    assert not hasattr(SOCKETSERVER.class_(owner), name)
    assert getattr(TRIOSERVER.class_(owner), name) == default


def bases_of(class_: type) -> list[str]:
    """Return the names of the classes in the method resolution order."""
    return [base.__name__ for base in class_.__mro__]


def public_attributes(class_: type) -> set[str]:
    return {name for name in dir(class_) if not name.startswith("_")}


def parameters_of(method: Either) -> list[tuple[str, object]]:
    """Return the parameters that can be given by position, with their defaults."""
    return [
        (parameter.name, parameter.default)
        for parameter in inspect.signature(method).parameters.values()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
