"""How internet addresses to listen on are written."""

from __future__ import annotations

import pytest

from trioserver._cli.bind_address import parse_bind_address
from trioserver._cli.errors import BindAddressError
from trioserver._cli.inet_address import InetAddress


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("tcp://localhost:9999", "localhost", 9999),
        ("TCP://localhost:9999", "localhost", 9999),
        ("tcp://localhost:0", "localhost", 0),
        ("tcp://localhost:65535", "localhost", 65535),
        ("tcp://localhost:" + "0" * 5000 + "80", "localhost", 80),
        ("tcp://localhost.:80", "localhost.", 80),
        ("tcp://my_host-1.example:80", "my_host-1.example", 80),
        ("tcp://b\u00fccher.example:80", "b\u00fccher.example", 80),
        ("tcp://0.0.0.0:80", "0.0.0.0", 80),  # noqa: S104  # nothing is bound
        ("tcp://127.0.0.1:80", "127.0.0.1", 80),
        ("tcp://[::1]:80", "::1", 80),
        ("tcp://[::]:80", "::", 80),
        ("tcp://[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1", 80),
    ],
)
def test_understands_an_address(text: str, host: str, port: int) -> None:
    address = parse_bind_address(text)

    assert address == InetAddress("tcp", host, port)


def test_understands_datagrams_too() -> None:
    address = parse_bind_address("UDP://[::1]:53")

    assert address == InetAddress("udp", "::1", 53)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "begins with none of tcp://, udp://, unix:, unixgram:; write"),
        ("tcp", "begins with none of tcp://"),
        ("localhost:9999", "begins with none of tcp://"),
        ("://localhost:9999", "begins with none of tcp://"),
        ("http://localhost:9999/", "begins with none of tcp://"),
        ("tcp:localhost:9999", "lacks the // after tcp:"),
        ("udp:/localhost:9999", "lacks the // after udp:, as in udp://localhost:9999"),
        ("tcp://me@localhost:9999", "must not name a user"),
        ("tcp://localhost:9999/", "must end after the port"),
        ("tcp://localhost:9999/path", "must end after the port"),
        ("tcp://localhost:9999?backlog=5", "must end after the port"),
        ("tcp://localhost:9999#top", "must end after the port"),
        ("tcp://", "names no host"),
        ("tcp://:9999", "names no host"),
        ("tcp://local host:9999", "no machine could be called"),
        ("tcp://<broadcast>:9999", "no machine could be called"),
        ("tcp://a..b:9999", "no machine could be called"),
        ("tcp://" + "a" * 64 + ":9999", "no machine could be called"),
        ("tcp://\udcff:9999", "no machine could be called"),
        ("tcp://localhost\n:9999", "no machine could be called"),
        ("tcp://localhost", "names no port"),
        ("tcp://localhost:", "names no port"),
        ("tcp://[::1]", "names no port"),
        ("tcp://[::1]:", "names no port"),
        ("tcp://localhost:http", "must have a port from 0 to 65535"),
        ("tcp://localhost:-1", "must have a port from 0 to 65535"),
        ("tcp://localhost:+1", "must have a port from 0 to 65535"),
        ("tcp://localhost:1_0", "must have a port from 0 to 65535"),
        ("tcp://localhost: 1", "must have a port from 0 to 65535"),
        ("tcp://localhost:\u0661", "must have a port from 0 to 65535"),
        ("tcp://localhost:65536", "must have a port from 0 to 65535"),
        ("tcp://localhost:" + "9" * 5000, "must have a port from 0 to 65535"),
        ("tcp://::1:9999", "write an IPv6 address in brackets"),
        ("tcp://::1", "write an IPv6 address in brackets"),
        ("tcp://[::1", "lacks the ']'"),
        ("tcp://[::1]9999", "must have a ':' and the port"),
        ("tcp://[localhost]:9999", "must have an IPv6 address in its brackets"),
        ("tcp://[127.0.0.1]:9999", "must have an IPv6 address in its brackets"),
        ("tcp://[]:9999", "must have an IPv6 address in its brackets"),
        ("tcp://[fe80::1%eth0]:9999", "must not name a network interface"),
    ],
)
def test_refuses_with_a_sentence(text: str, complaint: str) -> None:
    with pytest.raises(BindAddressError) as caught:
        parse_bind_address(text)

    assert complaint in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text", ["tcp://localhost:9999", "tcp://[::1]:9999", "udp://localhost:9999"]
)
def test_is_shown_as_it_is_written(text: str) -> None:
    assert str(parse_bind_address(text)) == text
