"""One request's life: verify, process, report what went wrong, close."""

from __future__ import annotations

import trio

from trioserver._cancellation import cleanup_scope
from trioserver._engine.admission import Slot
from trioserver._engine.hooks import ClientAddress, Request, ServerHooks, settled
from trioserver._exception_groups import split_errors


# Ctrl-C may not strike between a request's failure and its closing; while the
# server's own hooks run, it may.
@trio.lowlevel.enable_ki_protection
async def run_request(
    hooks: ServerHooks, request: Request, client_address: ClientAddress, slot: Slot
) -> None:
    """Take *request* through its life.

    A request that was processed has been shut down by ``process_request()``, or
    was handed on to somebody else, as in socketserver. Any other one is closed here,
    whatever happens.

    Args:
        hooks: The server.
        request: Takes ownership of it.
        client_address: Where it came from.
        slot: Waited for first, unless it is taken already. Released at the end.

    Raises:
        BaseException: What is no `Exception`, and what ``handle_error()`` raises.
    """
    try:
        if not slot.is_taken:
            await slot.take()
        verified = await _verify(hooks, request, client_address)
        if verified:
            await _process(hooks, request, client_address)
    except BaseException as error:  # split, and the rest raised
        try:
            await _report(hooks, request, client_address, error)
        except BaseException:
            # It ends the server: whoever waits for that need not wait for the client.
            with trio.move_on_after(hooks.cleanup_timeout):
                await _close(hooks, request, client_address)
            raise
        await _close(hooks, request, client_address)
    else:
        if not verified:
            await _close(hooks, request, client_address)
    finally:
        slot.release()


async def _report(
    hooks: ServerHooks,
    request: Request,
    client_address: ClientAddress,
    error: BaseException,
) -> None:
    """Let the server handle what is an `Exception`, and raise the rest.

    The hook runs where the exception is being handled, so that a bare ``raise`` and
    ``sys.exc_info()`` work in it.
    """
    ours, rest = split_errors(error)
    if ours is error:
        await _handle_error(hooks, request, client_address)
    elif ours is not None:
        try:
            raise ours  # noqa: TRY301  # the hook must run inside an "except"
        except Exception:
            await _handle_error(hooks, request, client_address)
    if rest is not None:
        raise rest


async def _close(
    hooks: ServerHooks, request: Request, client_address: ClientAddress
) -> None:
    """Shut the request down, and make sure of it."""
    try:
        await _shut_down(hooks, request)
    except Exception:
        await _handle_error(hooks, request, client_address)
    finally:
        await _close_forcefully(request)


async def _close_forcefully(request: Request) -> None:
    if isinstance(request, trio.abc.AsyncResource):
        with trio.CancelScope(shield=True) as scope:
            scope.cancel()
            await request.aclose()


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
