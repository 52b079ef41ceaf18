"""Servers and handlers that note which of their hooks is called, when and with what."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping

import attrs

from parity.libraries import Either, Function

# The one table of hooks: each is overridden, in both libraries, by a method that notes
# the call and then does what the hook does.
SERVER_HOOKS = (
    "server_bind",
    "server_activate",
    "get_request",
    "verify_request",
    "process_request",
    "finish_request",
    "shutdown_request",
    "close_request",
    "handle_error",
    "handle_timeout",
    "server_close",
)
HANDLER_HOOKS = ("__init__", "setup", "handle", "finish")

# Not among them, because with trioserver an override makes it be called beside the
# requests, at times of its own: ask for it where it matters.
SERVICE_HOOKS = ("service_actions",)


@attrs.define
class Journal:
    """What happened to one server, in words, one entry for each call of a hook.

    What a hook is given is noted by what it must be: "request" for the object that
    ``get_request()`` returned, "client" for its address, "server" for the server.
    """

    raises: Mapping[str, type[BaseException]] = attrs.field(factory=dict)
    """Hooks that raise: after their work, so that nothing is left open.

    ``get_request()`` raises before it, since what it accepted would be lost.
    """
    returns: Mapping[str, object] = attrs.field(factory=dict)
    """Hooks that return something else than the library does."""
    entries: list[str] = attrs.field(factory=list)
    server: Either = None
    request: Either = None
    client_address: Either = None

    def recording(
        self, base: Either, hooks: tuple[str, ...], prefix: str = ""
    ) -> Either:
        """Return a class derived from *base* that notes the calls of *hooks*."""
        namespace = {
            hook: self._recorded(prefix + hook, getattr(base, hook)) for hook in hooks
        }
        return type(f"Recording{base.__name__}", (base,), namespace)

    def recording_server(self, base: Either, hooks: tuple[str, ...] = ()) -> Either:
        return self.recording(base, SERVER_HOOKS + hooks)

    def recording_handler(self, base: Either) -> Either:
        return self.recording(base, HANDLER_HOOKS, "handler.")

    def _recorded(self, hook: str, original: Function) -> Function:
        if inspect.iscoroutinefunction(original):

            async def asynchronous(owner: Either, *arguments: Either) -> Either:
                self._note_call(hook, owner, arguments)
                return self._answer(hook, await original(owner, *arguments))

            return asynchronous

        def synchronous(owner: Either, *arguments: Either) -> Either:
            self._note_call(hook, owner, arguments)
            return self._answer(hook, original(owner, *arguments))

        return synchronous

    def _note_call(self, hook: str, owner: Either, arguments: Either) -> None:
        if hook == "server_bind":
            self.server = owner
        if hook == "get_request":
            # Noted when it ends: an asynchronous server waits for the next request at
            # any time, and has always called it already.
            if hook in self.raises:
                self.entries.append("get_request()")
                self._raise(hook)
            return
        names = ", ".join(self._name(argument) for argument in arguments)
        self.entries.append(f"{hook}({names}){self._error_of(hook)}")

    def _answer(self, hook: str, result: Either) -> Either:
        if hook == "get_request":
            self.request, self.client_address = result
            self.entries.append("get_request()")
            return result
        self._raise(hook)
        return self.returns.get(hook, result)

    def _raise(self, hook: str) -> None:
        if hook in self.raises:
            raise self.raises[hook](hook)

    def _name(self, argument: object) -> str:
        known = (
            ("server", self.server),
            ("request", self.request),
            ("client", self.client_address),
        )
        names = [name for name, value in known if argument is value]
        return names[0] if names else repr(argument)

    def _error_of(self, hook: str) -> str:
        """Return what ``handle_error()`` finds being handled, and what came before."""
        error = sys.exception()
        if hook != "handle_error" or error is None:
            return ""
        context = error.__context__
        before = "" if context is None else f" after {context!r}"
        return f" with {error!r}{before}"
