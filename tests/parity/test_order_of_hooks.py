"""Which hooks are called for a request, in which order, and with what."""

from __future__ import annotations

import pytest

from parity.journal import Journal
from parity.libraries import Library, both_libraries
from parity.scenario import (
    Play,
    Scenario,
    closing,
    handle_one,
    open_client,
    play,
    play_serving,
    recording_server,
)

both_ways = pytest.mark.parametrize(
    "play_scenario", [play, play_serving], ids=["handle_request", "serve_forever"]
)

CONSTRUCTED = ["server_bind()", "server_activate()"]
ACCEPTED = ["get_request()", "verify_request(request, client)"]
PROCESSED = ["process_request(request, client)", "finish_request(request, client)"]
MADE = ["handler.__init__(request, client, server)"]
HANDLED = ["handler.setup()", "handler.handle()", "handler.finish()"]
SHUT_DOWN = ["shutdown_request(request)", "close_request(request)"]
CLOSED = ["server_close()"]

BEFORE = CONSTRUCTED + ACCEPTED + PROCESSED + MADE
AFTER = SHUT_DOWN + CLOSED


@both_libraries
@both_ways
async def test_processes_a_request_then_shuts_it_down(
    library: Library, play_scenario: Play
) -> None:
    outcome = await play_scenario(library, Scenario())

    assert outcome.entries == BEFORE + HANDLED + AFTER
    assert outcome.reply == b"HELLO\n"
    assert outcome.error == ""


@both_libraries
@both_ways
async def test_only_shuts_down_a_request_that_is_not_verified(
    library: Library, play_scenario: Play
) -> None:
    scenario = Scenario(sends=b"", returns={"verify_request": False})

    outcome = await play_scenario(library, scenario)

    assert outcome.entries == CONSTRUCTED + ACCEPTED + AFTER
    assert outcome.reply == b""


@both_libraries
@both_ways
async def test_does_not_handle_or_finish_after_a_failed_setup(
    library: Library, play_scenario: Play
) -> None:
    scenario = Scenario(sends=b"", raises={"handler.setup": ValueError})

    outcome = await play_scenario(library, scenario)

    error = "handle_error(request, client) with ValueError('handler.setup')"
    assert outcome.entries == [*BEFORE, "handler.setup()", error, *AFTER]
    assert outcome.error == ""


@both_libraries
@both_ways
async def test_finishes_after_a_failed_handle(
    library: Library, play_scenario: Play
) -> None:
    scenario = Scenario(raises={"handler.handle": ValueError})

    outcome = await play_scenario(library, scenario)

    error = "handle_error(request, client) with ValueError('handler.handle')"
    assert outcome.entries == [*BEFORE, *HANDLED, error, *AFTER]
    assert outcome.reply == b"HELLO\n"
    assert outcome.error == ""


@both_libraries
@both_ways
async def test_reports_a_failed_finish(library: Library, play_scenario: Play) -> None:
    scenario = Scenario(raises={"handler.finish": ValueError})

    outcome = await play_scenario(library, scenario)

    error = "handle_error(request, client) with ValueError('handler.finish')"
    assert outcome.entries == [*BEFORE, *HANDLED, error, *AFTER]
    assert outcome.error == ""


@both_libraries
@both_ways
async def test_reports_a_failed_finish_after_a_failed_handle(
    library: Library, play_scenario: Play
) -> None:
    scenario = Scenario(
        raises={"handler.handle": ValueError, "handler.finish": KeyError}
    )

    outcome = await play_scenario(library, scenario)

    error = (
        "handle_error(request, client) with KeyError('handler.finish') "
        "after ValueError('handler.handle')"
    )
    assert outcome.entries == [*BEFORE, *HANDLED, error, *AFTER]


@both_libraries
@both_ways
@pytest.mark.parametrize("exit_", [SystemExit, KeyboardInterrupt])
async def test_an_exit_shuts_the_request_down_and_leaves_the_server(
    library: Library, play_scenario: Play, exit_: type[BaseException]
) -> None:
    scenario = Scenario(raises={"handler.handle": exit_})

    outcome = await play_scenario(library, scenario)

    assert outcome.entries == BEFORE + HANDLED + AFTER
    assert outcome.error == f"{exit_.__name__}('handler.handle')"


@both_libraries
@both_ways
async def test_reports_a_failed_finish_request(
    library: Library, play_scenario: Play
) -> None:
    scenario = Scenario(sends=b"", raises={"finish_request": ValueError})

    outcome = await play_scenario(library, scenario)

    error = "handle_error(request, client) with ValueError('finish_request')"
    assert outcome.entries == [*BEFORE, *HANDLED, error, *AFTER]


@both_libraries
async def test_an_oserror_in_get_request_is_one_clients_failure(
    library: Library,
) -> None:
    journal = Journal(raises={"get_request": ConnectionAbortedError})
    server = recording_server(library, journal)

    async with closing(library, server), await open_client(server):
        await library.call(server.handle_request)

    assert journal.entries == [*CONSTRUCTED, "get_request()", *CLOSED]


@both_libraries
async def test_another_error_in_get_request_leaves_the_server(library: Library) -> None:
    journal = Journal(raises={"get_request": ValueError})
    server = recording_server(library, journal)

    async with closing(library, server), await open_client(server):
        with pytest.raises(ValueError, match="get_request"):
            await library.call(server.handle_request)

    assert journal.entries == [*CONSTRUCTED, "get_request()", *CLOSED]


@both_libraries
async def test_handles_one_request_at_a_call(library: Library) -> None:
    journal = Journal()
    server = recording_server(library, journal)

    async with closing(library, server):
        replies = [
            await handle_one(library, server, b"first\n"),
            await handle_one(library, server, b"second\n"),
        ]

    one_request = BEFORE[len(CONSTRUCTED) :] + HANDLED + SHUT_DOWN
    assert journal.entries == CONSTRUCTED + one_request + one_request + CLOSED
    assert replies == [b"FIRST\n", b"SECOND\n"]
