"""One request's life: verify, process, report what went wrong, close."""

from __future__ import annotations

from contextlib import nullcontext
from typing import NoReturn

import trio

from trioserver._cancellation import cleanup_scope, is_cancelled
from trioserver._engine.admission import Slot
from trioserver._engine.forceful_close import close_forcefully
from trioserver._engine.hooks import (
    ClientAddress,
    Request,
    ServerHooks,
    is_idle,
    settled,
)
from trioserver._exception_groups import raise_unchanged, split_errors


# Ctrl-C may not strike between a request's failure and its closing; while the
# server's own hooks run, it may.
@trio.lowlevel.enable_ki_protection
async def run_request(
    hooks: ServerHooks, request: Request, client_address: ClientAddress, slot: Slot
) -> bool:
    """Take *request* through its life.

    A request that was processed has been shut down by ``process_request()``, or
    was handed on to somebody else, as in socketserver. Any other one is closed here,
    whatever happens.

    Args:
        hooks: The server.
        request: Takes ownership of it.
        client_address: Where it came from.
        slot: Waited for first, unless it is taken already. Released at the end.

    Returns:
        Whether nothing has failed.

    Raises:
        BaseException: What is no `Exception`, and what ``handle_error()`` raises; a
            group, if there is more than one.
    """
    try:
        admitted = slot.is_taken or await slot.take()
        if admitted and (
            is_idle(hooks.verify_request)
            or await _verify(hooks, request, client_address)
        ):
            await _process(hooks, request, client_address)
        else:
            await _shut_down(hooks, request)
    except BaseException as error:  # it is split, and what is not ours is raised
        await _end_badly(hooks, request, client_address, error)
        return False
    finally:
        slot.release()
    return True


async def _end_badly(
    hooks: ServerHooks,
    request: Request,
    client_address: ClientAddress,
    error: BaseException,
) -> None:
    """Report *error*, close the request, and raise what must go on."""
    escaping = await _report(hooks, request, client_address, error)
    # What ends the server does not wait for the client. The time of a request that was
    # cancelled is bounded already.
    is_bounded = not escaping or is_cancelled()
    try:
        with nullcontext() if is_bounded else trio.move_on_after(hooks.cleanup_timeout):
            await _shut_down(hooks, request)
    except BaseException as failure:  # as above
        escaping += await _report(hooks, request, client_address, failure)
    finally:
        await close_forcefully(request)
    if escaping:
        _raise_all(escaping)


async def _report(
    hooks: ServerHooks,
    request: Request,
    client_address: ClientAddress,
    error: BaseException,
) -> list[BaseException]:
    """Let the server handle what is an `Exception`. Return what must go on.

    The hook runs where the exception is being handled, so that a bare ``raise`` and
    ``sys.exc_info()`` work in it.
    """
    ours, rest = split_errors(error)
    escaping = [] if rest is None else [rest]
    try:
        if ours is error:
            await _handle_error(hooks, request, client_address)
        elif ours is not None:
            await _handle_part(hooks, request, client_address, ours)
    except BaseException as raised:  # what the hook raises must go on, too
        escaping.append(raised)
    return escaping


async def _handle_part(
    hooks: ServerHooks,
    request: Request,
    client_address: ClientAddress,
    ours: Exception,
) -> None:
    """Let the server handle the part of a group that it may."""
    try:
        raise ours  # noqa: TRY301  # the hook must run inside an "except"
    except Exception:
        await _handle_error(hooks, request, client_address)


def _raise_all(errors: list[BaseException]) -> NoReturn:
    if len(errors) == 1:
        raise_unchanged(errors[0])
    message = "a request ended in more than one way"
    raise BaseExceptionGroup(message, errors)


@trio.lowlevel.disable_ki_protection
async def _verify(
    hooks: ServerHooks, request: Request, client_address: ClientAddress
) -> bool:
    return await settled(hooks.verify_request(request, client_address))


@trio.lowlevel.disable_ki_protection
async def _process(
    hooks: ServerHooks, request: Request, client_address: ClientAddress
) -> None:
    await settled(hooks.process_request(request, client_address))


@trio.lowlevel.disable_ki_protection
async def _handle_error(
    hooks: ServerHooks, request: Request, client_address: ClientAddress
) -> None:
    with cleanup_scope(hooks.cleanup_timeout):
        await settled(hooks.handle_error(request, client_address))


@trio.lowlevel.disable_ki_protection
async def _shut_down(hooks: ServerHooks, request: Request) -> None:
    with cleanup_scope(hooks.cleanup_timeout):
        await settled(hooks.shutdown_request(request))
