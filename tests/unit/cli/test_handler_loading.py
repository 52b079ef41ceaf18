"""Load a handler by its name."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trioserver import StreamRequestHandler
from trioserver._cli.errors import CommandError, ExitCode
from trioserver._cli.handler_loading import load_handler

CHAT = """
import functools
import trioserver

class ChatHandler(trioserver.StreamRequestHandler):
    room = "lobby"

async def chat(request, client_address, server):
    pass

async def listen(request, client_address, server):
    yield

class Rooms:
    Private = functools.partial(ChatHandler)
    Count = 3

class Lazy:
    @property
    def handler(self):
        raise OSError("no such\\nroom")

lazy = Lazy()
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current directory with a module; what was imported is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chat_server.py").write_text(CHAT)
    modules = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def complaint_about(target: str) -> tuple[ExitCode, str]:
    """Return how loading *target* fails."""
    with pytest.raises(CommandError) as caught:
        load_handler(target)
    return caught.value.exit_code, str(caught.value)


@pytest.mark.usefixtures("directory")
def test_loads_a_class_from_the_current_directory() -> None:
    handler = load_handler("chat_server:ChatHandler")

    assert isinstance(handler, type)
    assert issubclass(handler, StreamRequestHandler)
    assert sys.path[0] == str(Path.cwd())


@pytest.mark.usefixtures("directory")
def test_loads_a_coroutine_function() -> None:
    handler = load_handler("chat_server:chat")

    assert handler is sys.modules["chat_server"].chat


@pytest.mark.usefixtures("directory")
def test_loads_what_a_dotted_name_stands_for() -> None:
    handler = load_handler("chat_server:Rooms.Private")

    assert isinstance(handler, functools.partial)


def test_loads_from_a_package(directory: Path) -> None:
    (directory / "chat_package").mkdir()
    (directory / "chat_package" / "rooms.py").write_text(CHAT)

    handler = load_handler("chat_package.rooms:ChatHandler")

    assert handler is sys.modules["chat_package.rooms"].ChatHandler


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("chat_server", "does not name a module and a handler: write MODULE:HANDLER"),
        ("chat_server:", "does not name a module and a handler: write MODULE:HANDLER"),
        (":ChatHandler", "does not name a module and a handler: write MODULE:HANDLER"),
        ("chat_server.py:ChatHandler", "'chat_server.py' is a file's name"),
        ("./chat_server:ChatHandler", "'./chat_server' is a file's name"),
        (".chat_server:ChatHandler", "'.chat_server' is no module's name"),
        ("no_such:ChatHandler", "there is no module 'no_such' in"),
        ("no_such.chat:ChatHandler", "there is no module 'no_such.chat' in"),
        ("chat_server.rooms:ChatHandler", "there is no module 'chat_server.rooms' in"),
        (
            "chat_server:ChatHandlr",
            "has no 'ChatHandlr'; its handlers are: ChatHandler, chat",
        ),
        (
            "chat_server:Rooms.Public",
            "'Rooms' in the module chat_server",
        ),
        (
            "chat_server:Rooms.Public",
            "has no 'Public'; its handlers are: Private",
        ),
        (
            "chat_server:Rooms.Count.handle",
            "has no 'handle'; it has no handlers: derive one from",
        ),
        ("chat_server:listen", "chat_server:listen is no coroutine function"),
        ("chat_server:Rooms", "chat_server:Rooms is a class, but no handler"),
        ("sys:ChatHandler", "the module sys (no file) has no 'ChatHandler'"),
    ],
)
@pytest.mark.usefixtures("directory")
def test_refuses_a_name_that_stands_for_no_handler(target: str, complaint: str) -> None:
    exit_code, message = complaint_about(target)

    assert exit_code == ExitCode.USAGE
    assert complaint in message


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("x = 1\n1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("x = 1\nimport no_such", "ModuleNotFoundError: No module named 'no_such'"),
        ("x = 1\nfrom trioserver import Foo", "ImportError: cannot import name 'Foo'"),
        ("x = 1\nraise SystemExit(3)", "cannot be imported: SystemExit: 3"),
        ("x = 1\nclass", "cannot be imported: SyntaxError: invalid syntax"),
    ],
)
def test_names_the_line_that_fails_when_the_module_is_imported(
    directory: Path, source: str, complaint: str
) -> None:
    module = directory / "broken_server.py"
    module.write_text(source)

    exit_code, message = complaint_about("broken_server:ChatHandler")

    assert exit_code == ExitCode.FAILED
    assert complaint in message
    assert f"({module}, line 2)" in message


def test_reports_a_module_that_is_not_even_text(directory: Path) -> None:
    (directory / "binary_server.py").write_bytes(b"\0")

    exit_code, message = complaint_about("binary_server:ChatHandler")

    assert exit_code == ExitCode.FAILED
    assert "null bytes" in message


@pytest.mark.usefixtures("directory")
def test_reports_an_attribute_that_cannot_be_read() -> None:
    exit_code, message = complaint_about("chat_server:lazy.handler")

    assert exit_code == ExitCode.FAILED
    assert "cannot provide 'handler': OSError: no such\\nroom" in message


def test_reports_that_the_current_directory_is_gone(directory: Path) -> None:
    (directory / "chat_server.py").unlink()
    directory.rmdir()

    exit_code, message = complaint_about("chat_server:ChatHandler")

    assert exit_code == ExitCode.FAILED
    assert "the current directory exists no longer" in message
