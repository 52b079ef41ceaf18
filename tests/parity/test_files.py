"""``rfile`` and ``wfile``: the same bytes give the same results."""

from __future__ import annotations

import pytest

from parity.libraries import Either, Library, both_libraries, lines_of
from parity.scenario import closing, handle_one, make_server

TEXT = b"one\ntwo\r\n\nfour, and longer than the others\nlast"

Operation = tuple[str, tuple[int, ...]]


async def read_all(
    library: Library, data: bytes, operations: list[Operation], rbufsize: int = -1
) -> list[bytes]:
    """Return what *operations* on ``rfile`` gave, one after the other."""
    results: list[bytes] = []

    def read(handler: Either) -> Either:
        for name, arguments in operations:
            results.append((yield getattr(handler.rfile, name)(*arguments)))

    server = make_server(library)
    server.RequestHandlerClass.handle = library.function(read)
    server.RequestHandlerClass.rbufsize = rbufsize
    async with closing(library, server):
        await handle_one(library, server, data)
    return results


@both_libraries
@pytest.mark.parametrize("rbufsize", [-1, 7])
@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([("readline", ())] * 3, [b"one\n", b"two\r\n", b"\n"]),
        ([("readline", (2,))] * 3, [b"on", b"e\n", b"tw"]),
        ([("readline", (4,))] * 2, [b"one\n", b"two\r"]),
        ([("readline", (100,))] * 2, [b"one\n", b"two\r\n"]),
        ([("readline", (0,)), ("readline", ())], [b"", b"one\n"]),
        ([("readline", (-1,)), ("readline", ())], [b"one\n", b"two\r\n"]),
        ([("read", (6,)), ("readline", ())], [b"one\ntw", b"o\r\n"]),
        ([("read", (0,)), ("read", (3,))], [b"", b"one"]),
        ([("read", (1000,)), ("read", (1,))], [TEXT, b""]),
        ([("read", ()), ("read", ()), ("readline", ())], [TEXT, b"", b""]),
        ([("read", (-1,)), ("readline", (5,))], [TEXT, b""]),
        ([("read", (len(TEXT) - 2,)), ("readline", ())], [TEXT[:-2], b"st"]),
        ([("read1", (0,)), ("readline", ())], [b"", b"one\n"]),
    ],
)
async def test_reading_gives_the_same_results(
    library: Library,
    rbufsize: int,
    operations: list[Operation],
    expected: list[bytes],
) -> None:
    results = await read_all(library, TEXT, operations, rbufsize)

    assert results == expected


@both_libraries
@pytest.mark.parametrize("data", [b"", b"\n", b"\n\n", b"x", b"x\n", TEXT])
async def test_iterating_gives_the_same_lines(library: Library, data: bytes) -> None:
    lines: list[bytes] = []

    def iterate(handler: Either) -> Either:
        lines.extend((yield lines_of(handler.rfile)))

    server = make_server(library, iterate)
    async with closing(library, server):
        await handle_one(library, server, data)

    assert lines == data.splitlines(keepends=True)


@both_libraries
async def test_an_rbufsize_of_zero_reads_nothing_ahead(library: Library) -> None:
    results: list[bytes] = []

    def read_a_line_and_the_rest(handler: Either) -> Either:
        results.append((yield handler.rfile.readline()))
        results.append((yield library.receive_some(handler.request, 1000)))

    server = make_server(library, read_a_line_and_the_rest)
    server.RequestHandlerClass.rbufsize = 0
    async with closing(library, server):
        await handle_one(library, server, b"line\nrest")

    assert results == [b"line\n", b"rest"]


def write_then_send(library: Library, *calls: str) -> Either:
    """Return a handler that writes to ``wfile`` first and past it second."""

    def write(handler: Either) -> Either:
        yield handler.wfile.write(b"written ")
        for name in calls:
            yield getattr(handler.wfile, name)()
        yield library.send_all(handler.request, b"sent ")

    return write


@both_libraries
@pytest.mark.parametrize(
    ("wbufsize", "expected"),
    [
        (0, b"written sent "),
        (-1, b"sent written "),
        (100, b"sent written "),
    ],
)
async def test_wbufsize_decides_when_a_write_is_sent(
    library: Library, wbufsize: int, expected: bytes
) -> None:
    server = make_server(library, write_then_send(library))
    server.RequestHandlerClass.wbufsize = wbufsize

    async with closing(library, server):
        reply = await handle_one(library, server)

    assert reply == expected


@both_libraries
async def test_a_flush_sends_what_was_written(library: Library) -> None:
    server = make_server(library, write_then_send(library, "flush"))
    server.RequestHandlerClass.wbufsize = -1

    async with closing(library, server):
        reply = await handle_one(library, server)

    assert reply == b"written sent "


@both_libraries
async def test_a_full_buffer_is_sent(library: Library) -> None:
    def write_and_send(handler: Either) -> Either:
        yield handler.wfile.write(bytes(100_000))
        yield library.send_all(handler.request, b"sent")

    server = make_server(library, write_and_send)
    server.RequestHandlerClass.wbufsize = -1
    async with closing(library, server):
        reply = await handle_one(library, server)

    assert reply == bytes(100_000) + b"sent"


@both_libraries
@pytest.mark.parametrize("wbufsize", [0, -1])
async def test_write_returns_the_number_of_bytes(
    library: Library, wbufsize: int
) -> None:
    counts: list[int] = []

    def write(handler: Either) -> Either:
        counts.append((yield handler.wfile.write(b"")))
        counts.append((yield handler.wfile.write(b"four")))
        counts.append((yield handler.wfile.write(bytearray(3))))
        counts.append((yield handler.wfile.write(memoryview(b"two"))))

    server = make_server(library, write)
    server.RequestHandlerClass.wbufsize = wbufsize
    async with closing(library, server):
        await handle_one(library, server)

    assert counts == [0, 4, 3, 3]


@both_libraries
async def test_writelines_writes_one_after_the_other(library: Library) -> None:
    def write(handler: Either) -> Either:
        yield handler.wfile.writelines([b"one\n", b"two\n", b"three"])

    server = make_server(library, write)
    async with closing(library, server):
        reply = await handle_one(library, server)

    assert reply == b"one\ntwo\nthree"
