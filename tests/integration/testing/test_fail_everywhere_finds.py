"""Every bug that is planted is found, by the failure that it minds."""

from __future__ import annotations

import logging
import socket
from contextlib import suppress
from typing import cast

import pytest
import trio

from kit.fault_scenarios import Case, keep_alive
from kit.serving import LOOPBACK, UpperHandler, connect, receive_all
from trioserver import BaseServer, ConnectionLostError, StreamRequestHandler, TCPServer
from trioserver.testing import Report, Trial, fail_everywhere


def find(server: type[TCPServer] = TCPServer, **what: object) -> Report:
    """Let one client be served by a *server* with a bug."""
    case = Case(server, clients=(keep_alive,))
    operations = cast("list[str] | None", what.get("operations"))
    return fail_everywhere(
        case.play, probe=case.probe, operations=operations, hang_seconds=1
    )


def found(report: Report, words: str) -> list[str]:
    """Return at which failures something with these *words* was wrong."""
    return [
        failure.place
        for failure in report.failures
        if any(words in problem for problem in failure.problems)
    ]


class AskingServer(TCPServer):
    """Asks a connection for its address, outside of the request."""

    async def get_request(self) -> tuple[object, object]:
        request, _ = await super().get_request()
        try:
            return request, request.socket.getpeername()
        except OSError as error:
            await request.aclose()
            raise LookupError from error


def test_finds_an_address_that_is_asked_for_too_late() -> None:
    report = find(AskingServer, operations=["getpeername"])

    assert any("ENOTCONN" in place for place in found(report, "LookupError"))


class OneErrnoServer(TCPServer):
    """Knows that descriptors can run out, and nothing else."""

    async def get_request(self) -> tuple[object, object]:
        while True:
            try:
                sock, address = self.socket.accept()
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self.socket)
            except OSError as error:
                if error.errno != 24:
                    raise LookupError from error
                await trio.sleep(0.01)
            else:
                return self._stream_request(sock), address


def test_finds_an_accept_loop_that_knows_one_errno() -> None:
    report = find(OneErrnoServer, operations=["accept"])

    places = found(report, "LookupError")
    assert any("ENFILE" in place for place in places)
    assert not any("EMFILE" in place for place in places)


class ForgettingHandler(StreamRequestHandler):
    """Believes that a send sends everything."""

    async def handle(self) -> None:
        async for line in self.rfile:
            self.request.socket.send(line.upper())


async def serve_forgetfully(trial: Trial) -> None:
    async with trial.serving(TCPServer(LOOPBACK, ForgettingHandler)) as server:
        await trial.visit(ask_to_the_end, server)


async def ask_to_the_end(server: TCPServer) -> None:
    async with await connect(server) as client:
        await client.send_all(b"hello\n")
        await client.send_eof()
        assert await receive_all(client) == b"HELLO\n"


def test_finds_a_send_whose_result_nobody_looks_at() -> None:
    report = fail_everywhere(serve_forgetfully, operations=["send"])

    assert any("one byte" in place for place in found(report, "AssertionError"))


class ConfusedHandler(StreamRequestHandler):
    """Takes a client that has gone for one that talks nonsense."""

    async def handle(self) -> None:
        try:
            await self.rfile.readline()
        except ConnectionLostError as error:
            raise ValueError from error


async def serve_confused(trial: Trial) -> None:
    async with trial.serving(TCPServer(LOOPBACK, ConfusedHandler)) as server:
        async with await connect(server) as client:
            await client.send_all(b"hello\n")


def test_a_report_names_the_line_of_the_handler_and_what_replays_the_run() -> None:
    report = fail_everywhere(serve_confused, operations="recv", stop_after=1)
    (failure,) = report.failures
    again = fail_everywhere(serve_confused, operations="recv", only=failure.number)

    line = ConfusedHandler.handle.__code__.co_firstlineno + 2
    assert "_streams/" in failure.place
    assert failure.place.endswith(f", for testing/test_fail_everywhere_finds.py:{line}")
    assert str(failure).startswith(f"only={failure.number}, seed=0: recv() ")
    assert [failure.place for failure in again.failures] == [failure.place]


class CarelessServer(TCPServer):
    """Lets what a close says get out."""

    async def close_request(self, request: object) -> None:
        raw: socket.socket = request.socket  # type: ignore[attr-defined]  # it is a Connection
        raw.close()

    async def handle_error(self, request: object, client_address: object) -> None:
        raise  # noqa: PLE0704  # it is called where the error is handled


def test_finds_a_close_that_raises() -> None:
    report = find(CarelessServer, operations=["close"])

    assert any("EIO" in place for place in found(report, "the server raised"))


class LoudServer(TCPServer):
    """Writes an error to the log for every client that has gone, in two lines."""

    async def handle_error(self, request: object, client_address: object) -> None:
        logging.getLogger("trioserver").error("a client\nis gone")


def test_finds_what_fills_the_log() -> None:
    report = find(LoudServer, operations=["recv"])

    assert any("ECONNRESET" in place for place in found(report, "as ERROR"))
    assert any("ECONNRESET" in place for place in found(report, "several lines"))


class ChattyServer(TCPServer):
    async def handle_error(self, request: object, client_address: object) -> None:
        for _ in range(100):
            logging.getLogger("trioserver").info("a client is gone")


def test_finds_a_flood_of_log_lines() -> None:
    report = find(ChattyServer, operations=["recv"])

    assert found(report, "flooded")


class StubbornServer(TCPServer):
    """Tries again, whatever is wrong with its socket."""

    def _is_listening(self) -> bool:
        return True


def test_finds_a_server_that_goes_on_with_a_broken_socket() -> None:
    report = find(StubbornServer, operations=["accept"])

    assert any("EBADF" in place for place in found(report, "broken socket"))


async def refuse(server: BaseServer) -> None:
    """Be a fresh client who is not content."""
    raise ValueError(server)


def test_finds_a_fresh_client_that_is_not_served() -> None:
    report = fail_everywhere(
        Case(clients=(keep_alive,)).play, probe=refuse, operations=["shutdown"]
    )

    assert found(report, "a fresh client raised ValueError") == [""]


async def serve_two(trial: Trial) -> None:
    async with trial.serving(TCPServer(LOOPBACK, UpperHandler)) as server:
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(trial.visit, keep_alive, server)


@pytest.mark.parametrize("sample", [1, 3])
def test_tries_a_sample(sample: int) -> None:
    report = fail_everywhere(serve_two, sample=sample)

    report.check()
    assert report.tried == {"fault": sample}


class NoNetwork:
    """Leaves a server where it is."""

    def adopt(self, server: BaseServer) -> None:
        pass


def test_a_network_of_the_systems_sockets_will_do() -> None:
    async def play(trial: Trial) -> None:
        server = TCPServer(LOOPBACK, UpperHandler)
        async with trial.serving(server, NoNetwork()):
            await trial.visit(keep_alive, server)

    fail_everywhere(play, operations="recv", sample=2).check()


class TwiceHandler(UpperHandler):
    """Closes its socket once more, when it is closed already."""

    async def finish(self) -> None:
        await super().finish()
        raw = self.request.socket
        for _ in range(2):
            with suppress(OSError):
                raw.close()


def test_a_broken_socket_can_be_closed_twice() -> None:
    case = Case(handler=TwiceHandler, clients=(keep_alive,))

    fail_everywhere(case.play, operations=["recv"], probe=case.probe).check()
