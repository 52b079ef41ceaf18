"""Load a handler from a module, by its name ``MODULE:HANDLER``."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Final

from trioserver._cli.errors import StartError, UsageError
from trioserver._cli.handler_checking import checked_handler, handler_names
from trioserver._log import describe, escape
from trioserver._servers.base import HandlerFactory

_EXAMPLE: Final = "write MODULE:HANDLER, as in chat:ChatHandler for chat.py"


def load_handler(target: str) -> HandlerFactory:
    """Return the handler that *target* names.

    The current directory comes first among the places where modules are looked for.

    Args:
        target: ``MODULE:HANDLER``. Both may have dots.

    Raises:
        UsageError: If there is no such module or handler.
        StartError: If the module cannot be imported.
    """
    module_name, attributes = _split(target)
    _put_current_directory_first()
    value = _find(_imported(module_name), attributes)
    try:
        return checked_handler(target, value)
    except TypeError as error:
        raise UsageError(str(error)) from error


def _split(target: str) -> tuple[str, str]:
    module_name, _, attributes = target.partition(":")
    if not module_name or not attributes:
        message = f"{escape(target)} does not name a module and a handler: {_EXAMPLE}"
        raise UsageError(message)
    if module_name.endswith(".py") or "/" in module_name:
        message = f"{escape(module_name)} is a file's name, not a module's: {_EXAMPLE}"
        raise UsageError(message)
    if "" in module_name.split("."):
        message = f"{escape(module_name)} is no module's name: {_EXAMPLE}"
        raise UsageError(message)
    return module_name, attributes


def _put_current_directory_first() -> None:
    try:
        # Not "", which would follow a handler that changes the directory.
        sys.path.insert(0, str(Path.cwd()))
    except FileNotFoundError as error:
        message = "the current directory exists no longer: change to another one"
        raise StartError(message) from error


def _imported(name: str) -> ModuleType:
    """Return the module *name*, which may run any code, and raise anything."""
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and _is_within(name, error.name):
            message = (
                f"there is no module {escape(name)} in {escape(str(Path.cwd()))} or on "
                f"Python's path: {_EXAMPLE}"
            )
            raise UsageError(message) from error
        message = (
            f"the module {escape(name)} cannot be imported: {describe(error)} "
            f"({_place(error)}); --log-level debug shows the traceback"
        )
        raise StartError(message) from error


def _is_within(name: str, package: str | None) -> bool:
    """Whether *name* is *package*, or is inside of it."""
    return package is not None and f"{name}.".startswith(f"{package}.")


def _place(error: BaseException) -> str:
    """Return the file and line that *error* comes from."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.filename}, line {frame.lineno}"


def _find(module: ModuleType, attributes: str) -> object:
    """Return what the dotted name *attributes* stands for in *module*."""
    value: object = module
    file = getattr(module, "__file__", None) or "no file"
    where = f"the module {module.__name__} ({file})"
    for name in attributes.split("."):
        try:
            value = getattr(value, name)
        except AttributeError as error:
            message = f"{where} has no {escape(name)}; {_what_there_is(value)}"
            raise UsageError(message) from error
        except Exception as error:
            # Modules and classes may make attributes when they are asked for.
            message = (
                f"{where} cannot provide {escape(name)}: {describe(error)}; "
                "--log-level debug shows the traceback"
            )
            raise StartError(message) from error
        where = f"{escape(name)} in {where}"
    return value


def _what_there_is(owner: object) -> str:
    names = handler_names(getattr(owner, "__dict__", {}))
    if names:
        return f"its handlers are: {', '.join(names)}"
    return "it has no handlers: derive one from trioserver.StreamRequestHandler"
