"""The README keeps its word, and so does what runs it and the other pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trio

from kit.doc_blocks import BlockEvaluator, close_servers, evaluate_page
from kit.serving import LOOPBACK, UpperHandler
from trioserver import ServerClosedError, TCPServer

README = Path(__file__).parents[2] / "README.md"

UPPER_SERVER = """
```python
import trio
from kit.serving import UpperHandler
from trioserver import TCPServer

server = TCPServer(("127.0.0.1", 9999), UpperHandler)
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "page.md"


def test_the_examples_run_and_answer_in_upper_case() -> None:
    evaluator = BlockEvaluator()

    evaluate_page(README, evaluator)

    assert evaluator.replies == [b"HELLO\n"] * 2


@pytest.mark.parametrize("name", ["the run command", "the test command"])
def test_a_command_is_one_line_where_the_automation_looks_for_it(name: str) -> None:
    text = README.read_text(encoding="utf-8")

    commands = re.findall(rf"<!-- {name} -->\n```sh\n(.*)\n```\n", text)

    assert len(commands) == 1
    assert commands[0].startswith("python3 -m venv .venv && ")


def test_a_server_that_runs_for_ever_serves_one_client(page: Path) -> None:
    page.write_text(UPPER_SERVER + "```python\ntrio.run(server.serve)\n```\n")
    evaluator = BlockEvaluator()

    evaluate_page(page, evaluator)

    assert evaluator.replies == [b"HELLO\n"]


def test_a_program_keeps_the_clock_that_it_asks_for(page: Path) -> None:
    clock = "trio.testing.MockClock(autojump_threshold=0)"
    page.write_text(
        "```python\nimport trio, trio.testing\n"
        f"trio.run(trio.sleep, 1000, clock={clock})\n```\n"
    )

    evaluate_page(page, BlockEvaluator())


def test_a_block_may_await_at_its_top_level(page: Path) -> None:
    page.write_text(UPPER_SERVER + "```python\nawait server.server_close()\n1 / 0\n```")

    with pytest.raises(ZeroDivisionError):
        evaluate_page(page, BlockEvaluator())


def test_the_error_of_a_block_names_its_line(page: Path) -> None:
    page.write_text("# Title\n\nText.\n\n```python\nx = 1\n1 / 0\n```\n")

    with pytest.raises(ZeroDivisionError) as caught:
        evaluate_page(page, BlockEvaluator())

    assert caught.traceback[-1].lineno + 1 == 7


def test_a_hidden_block_runs_too(page: Path) -> None:
    page.write_text("% invisible-code-block: python\n%\n% 1 / 0\n")

    with pytest.raises(ZeroDivisionError):
        evaluate_page(page, BlockEvaluator())


def test_the_port_of_the_examples_is_replaced_by_any_free_one(page: Path) -> None:
    page.write_text("```python\nport = 9999\nassert port == 0\n```\n")

    evaluate_page(page, BlockEvaluator())


async def test_what_a_page_leaves_open_is_closed() -> None:
    server = TCPServer(LOOPBACK, UpperHandler)

    close_servers({"server": server, "trio": trio})

    with pytest.raises(ServerClosedError):
        await server.serve()
