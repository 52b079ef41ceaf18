"""What is wrong without any trouble is found, and what nobody would see."""

from __future__ import annotations

import threading
import warnings

import pytest
import trio

from kit.serving import LOOPBACK, UpperHandler, ask, connect
from trioserver import TCPServer, testing
from trioserver._testing.await_frames import describe_error, describe_task
from trioserver.testing import Trial, cancel_everywhere


async def echo(server: TCPServer) -> None:
    async with await connect(server) as client:
        assert await ask(client, b"hello\n") == b"HELLO\n"


# What is found without any trouble


def test_a_scenario_that_fails_by_itself_is_not_tried() -> None:
    async def fail(trial: Trial) -> None:
        await trio.lowlevel.checkpoint()
        raise LookupError

    report = cancel_everywhere(fail)

    assert report.runs == 1
    assert report.tried == {}
    assert "without any trouble:\n  - the scenario raised LookupError" in str(report)
    with pytest.raises(AssertionError, match="no trouble was made"):
        report.check()


def test_a_server_that_fails_by_itself_is_found() -> None:
    class FailingServer(TCPServer):
        async def get_request(self) -> tuple[object, object]:
            await super().get_request()
            raise LookupError

    async def play(trial: Trial) -> None:
        async with trial.serving(FailingServer(LOOPBACK, UpperHandler)) as server:
            await echo(server)

    report = cancel_everywhere(play)

    assert "the server raised LookupError" in report.problems[0]


def test_a_run_that_hangs_by_itself_is_found() -> None:
    async def hang(trial: Trial) -> None:
        await trio.sleep_forever()

    report = cancel_everywhere(hang, hang_seconds=0.05)

    assert "hangs: not ended 0.05 s after the start\n" in str(report)
    assert "    the scenario at hang (test_findings.py:" in str(report)


def test_a_server_that_ends_before_it_starts_is_an_error_of_the_scenario() -> None:
    async def end(*, task_status: trio.TaskStatus[object]) -> None:
        await trio.lowlevel.checkpoint()

    async def play(trial: Trial) -> None:
        await trial.watching(end).__aenter__()

    report = cancel_everywhere(play)

    assert "exited without calling task_status.started()" in str(report)


def test_an_error_inside_of_trio_is_found() -> None:
    async def fail() -> None:
        raise LookupError

    async def play(trial: Trial) -> None:
        trio.lowlevel.spawn_system_task(fail)
        await trio.sleep_forever()

    report = cancel_everywhere(play)

    assert "Trio raised TrioInternalError" in str(report)


def test_a_thread_that_hangs_is_named() -> None:
    stuck = threading.Event()
    threads: list[threading.Thread] = []

    def get_stuck() -> None:
        stuck.wait()

    async def play(_: Trial) -> None:
        threads.append(threading.Thread(target=get_stuck, name="the one"))
        threads[1].start()
        await trio.sleep_forever()

    threads.append(threading.Thread(target=get_stuck, name="another's"))
    threads[0].start()
    (problem,) = cancel_everywhere(play, hang_seconds=0.1).problems
    stuck.set()
    for thread in threads:
        thread.join()

    line = get_stuck.__code__.co_firstlineno + 1
    place = f"thread the one at testing/test_findings.py:{line}"
    assert problem.endswith(f"\n    {place}")
    assert "another's" not in problem


# What nobody would see


def test_what_is_never_awaited_is_a_finding_and_other_warnings_are_not() -> None:
    async def play(trial: Trial) -> None:
        warnings.warn("hello", UserWarning, stacklevel=1)
        trio.lowlevel.checkpoint()  # type: ignore[unused-coroutine]  # noqa: ASYNC105  # the bug
        await trio.lowlevel.checkpoint()

    with pytest.warns(UserWarning, match="hello"):
        report = cancel_everywhere(play)

    assert "was never awaited" in report.problems[0]


def test_an_error_that_only_the_interpreter_sees_is_a_finding() -> None:
    class Bad:
        def __del__(self) -> None:
            raise LookupError

    async def play(trial: Trial) -> None:
        Bad()
        await trio.lowlevel.checkpoint()

    report = cancel_everywhere(play)

    assert "LookupError()" in report.problems[0]


def test_an_error_in_a_thread_is_a_finding() -> None:
    async def play(trial: Trial) -> None:
        thread = threading.Thread(target={}.__getitem__, args=("x",), name="a thread")
        thread.start()
        thread.join()
        await trio.lowlevel.checkpoint()

    report = cancel_everywhere(play)

    assert "thread a thread has died of KeyError('x')" in report.problems


class SpawningHandler(UpperHandler):
    """Starts something that goes on."""

    async def handle(self) -> None:
        trio.lowlevel.spawn_system_task(trio.sleep_forever)
        await super().handle()


async def serve_spawning(trial: Trial) -> None:
    async with trial.serving(TCPServer(LOOPBACK, SpawningHandler)) as server:
        await echo(server)


def test_a_task_that_goes_on_is_a_finding() -> None:
    report = cancel_everywhere(serve_spawning)

    assert report.problems == [
        "left behind: task trio.sleep_forever at sleep_forever()"
    ]


def test_a_task_that_goes_on_after_the_trouble_is_a_finding() -> None:
    async def play(trial: Trial) -> None:
        try:
            await trio.lowlevel.checkpoint()
        finally:
            if trial.is_injected:
                trio.lowlevel.spawn_system_task(trio.sleep_forever, name="goes on")

    report = cancel_everywhere(play, by=["cancel", "interrupt"], stop_after=100)

    assert {failure.by for failure in report.failures} == {"cancel", "interrupt"}
    assert {problem.split(" at ")[0] for problem in report.problems} == {
        "left behind: task goes on"
    }


def test_a_task_that_trio_needs_is_none() -> None:
    async def play(_: Trial) -> None:
        token = trio.lowlevel.current_trio_token()
        called = trio.Event()

        async def wait() -> None:
            called.set()
            await trio.sleep_forever()

        def call() -> None:
            with pytest.raises(trio.Cancelled):
                trio.from_thread.run(wait, trio_token=token)

        thread = threading.Thread(target=call)
        thread.start()
        await called.wait()

    report = cancel_everywhere(play, by="cancel", only=[])

    assert report.problems == []


def test_a_request_that_is_never_given_up_is_a_finding() -> None:
    class BusyServer(TCPServer):
        @property
        def requests_in_flight(self) -> int:
            return 1

    async def play(trial: Trial) -> None:
        async with trial.serving(BusyServer(LOOPBACK, UpperHandler)):
            pass

    report = cancel_everywhere(play)

    assert "requests in flight after the end: <BusyServer" in report.problems[0]


def test_what_a_client_expects_in_vain_is_told_as_it_was_written() -> None:
    async def play(trial: Trial) -> None:
        async with trial.serving(TCPServer(LOOPBACK, UpperHandler)) as server:
            async with await testing.connect(server) as client:
                await client.send(b"hello\n")
                await client.expect_line(b"HELP\n")

    report = cancel_everywhere(play)

    head, *rest = report.problems[0].splitlines()
    # The line of the scenario, not that of the client.
    assert "raised AssertionError at play (test_findings.py:" in head
    assert head.endswith("): expected b'HELP\\n'")
    assert rest == ["      but there came b'HELLO\\n'"]


def test_an_error_that_was_not_raised_has_no_place() -> None:
    assert describe_error(LookupError("x")) == "LookupError('x')"
    assert describe_error(LookupError("x\ny")) == "LookupError: x\n    y"


async def test_a_task_that_has_ended_is_at_its_end() -> None:
    tasks: list[trio.lowlevel.Task] = []

    async def end() -> None:
        tasks.append(trio.lowlevel.current_task())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end, name="a task")

    assert describe_task(tasks[0]) == "a task at its end"
