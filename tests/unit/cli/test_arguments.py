"""What the command line means."""

from __future__ import annotations

import importlib.metadata
import math

import pytest

from trioserver._cli.arguments import ServeArguments, parse_arguments
from trioserver._cli.errors import UsageError
from trioserver._cli.inet_address import InetAddress
from trioserver._cli.unix_address import UnixAddress


def test_serves_the_example_on_localhost_9999_by_default() -> None:
    arguments = parse_arguments(["serve"])

    assert arguments == ServeArguments(
        handler=None,
        binds=(InetAddress("tcp", "localhost", 9999),),
        drain_timeout=10,
        log_level="INFO",
    )


def test_takes_every_option() -> None:
    arguments = parse_arguments(
        [
            *("serve", "chat:ChatHandler"),
            *("--bind", "tcp://[::1]:80", "--bind", "udp://127.0.0.1:80"),
            *("--bind", "unix:/run/chat.sock?mode=660", "--bind", "unixgram:@chat"),
            *("--drain", "2.5", "--log-level", "debug"),
        ]
    )

    assert arguments == ServeArguments(
        handler="chat:ChatHandler",
        binds=(
            InetAddress("tcp", "::1", 80),
            InetAddress("udp", "127.0.0.1", 80),
            UnixAddress("unix", "/run/chat.sock", 0o660),
            UnixAddress("unixgram", "\0chat"),
        ),
        drain_timeout=2.5,
        log_level="DEBUG",
    )


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("1e3", 1000), ("inf", math.inf)]
)
def test_drains_for_a_number_of_seconds(text: str, seconds: float) -> None:
    assert parse_arguments(["serve", "--drain", text]).drain_timeout == seconds


def test_lets_the_system_choose_several_ports() -> None:
    bind = ["--bind", "tcp://localhost:0"]

    assert len(parse_arguments(["serve", *bind, *bind]).binds) == 2


def test_takes_the_same_place_for_another_kind_of_request() -> None:
    binds = ["tcp://h:1", "udp://h:1", "unix:@x", "unixgram:@x", "unix:@y", "unix:x"]

    arguments = parse_arguments(["serve", *(f"--bind={bind}" for bind in binds)])

    assert [str(bind) for bind in arguments.binds] == binds


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        ([], "there is nothing to do: 'trioserver serve' serves an example"),
        (["sevre"], "sevre"),
        (["--bogus"], "--bogus"),
        (["serve", "--bogus"], "--bogus"),
        (["serve", "a:B", "c:D"], "c:D"),
        (["serve", "--bind"], "--bind"),
        (["serve", "--bind", "ftp://h:1"], "begins with none of tcp://"),
        (["serve", "--bin", "tcp://h:1"], "--bin"),
        (["serve", *["--bind", "tcp://h:1"] * 2], "tcp://h:1 is given more than once"),
        (
            ["serve", "--bind", "unix:/x?mode=660", "--bind", "unixgram:/x"],
            "--bind unix:/x is given more than once",
        ),
        (["serve", "--drain", "-1"], "must be a number of seconds, 0 or more"),
        (["serve", "--drain", "nan"], "must be a number of seconds, 0 or more"),
        (["serve", "--drain", "soon"], "must be a number of seconds, 0 or more"),
        (["serve", "--log-level", "loud"], "loud"),
    ],
)
def test_refuses_what_makes_no_sense(argv: list[str], complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_arguments(argv)

    assert complaint in str(caught.value)


def test_points_to_the_help_of_the_command() -> None:
    with pytest.raises(UsageError, match="'trioserver serve --help' shows"):
        parse_arguments(["serve", "--drain"])


def test_shows_the_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", "1.2.3 of {}".format)

    with pytest.raises(SystemExit) as caught:
        parse_arguments(["--version"])

    assert caught.value.code == 0
    assert capsys.readouterr().out == "trioserver 1.2.3 of trioserver\n"


def test_shows_that_there_is_no_version_where_nothing_was_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def version(_name: str) -> str:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "version", version)

    with pytest.raises(SystemExit):
        parse_arguments(["--version"])

    assert "not installed" in capsys.readouterr().out


def test_helps_with_defaults_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments(["serve", "--help"])

    text = capsys.readouterr().out
    assert caught.value.code == 0
    assert "(default: tcp://localhost:9999)" in " ".join(text.split())
    assert "trioserver serve chat:ChatHandler" in text
