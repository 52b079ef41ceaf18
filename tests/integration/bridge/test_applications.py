"""Servers that nobody here has written, unchanged, driven from Trio."""

from __future__ import annotations

import http.client
import json
import logging
import logging.config
import logging.handlers
import pickle
import socket
import socketserver
import struct
import wsgiref.simple_server
import wsgiref.validate
import xmlrpc.client
import xmlrpc.server
from collections.abc import Iterable, Iterator
from wsgiref.types import StartResponse, WSGIEnvironment

import dnslib  # type: ignore[import-untyped]  # it has no types
import dnslib.server  # type: ignore[import-untyped]  # likewise
import pytest
import pythonosc.dispatcher
import pythonosc.osc_server
import pythonosc.osc_tcp_server
import pythonosc.tcp_client
import pythonosc.udp_client
import trio
import werkzeug
import werkzeug.serving

from kit.driving import driving, in_thread
from kit.serving import LOOPBACK, STUCK


def fetch(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=STUCK)
    connection.request("GET", path)
    with connection.getresponse() as response:
        reply = response.status, response.read()
    connection.close()
    return reply


# xmlrpc.server


def call_xmlrpc(port: int) -> tuple[object, list[object]]:
    with xmlrpc.client.ServerProxy(f"http://127.0.0.1:{port}") as proxy:
        several = xmlrpc.client.MultiCall(proxy)
        several.pow(2, 10)
        several.greet("Tokyo")
        return proxy.system.listMethods(), [*several()]  # type: ignore[misc]  # it only has __getitem__


async def test_xmlrpc_server() -> None:
    server = xmlrpc.server.SimpleXMLRPCServer(LOOPBACK, logRequests=False)
    server.register_introspection_functions()
    server.register_multicall_functions()
    server.register_function(pow)  # type: ignore[arg-type]  # overloaded
    server.register_function(lambda name: f"Hello {name}", "greet")

    async with driving(server):
        methods, results = await in_thread(call_xmlrpc, server.server_address[1])

    assert isinstance(methods, list)
    assert {"greet", "pow", "system.multicall"} <= set(methods)
    assert results == [1024, "Hello Tokyo"]


# wsgiref


class QuietWSGIHandler(wsgiref.simple_server.WSGIRequestHandler):
    """Keeps the console clean."""

    def log_message(self, *args: object) -> None:
        pass


@wsgiref.validate.validator
def wsgi_application(
    environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode()]


async def test_wsgiref() -> None:
    server = wsgiref.simple_server.make_server(
        "127.0.0.1", 0, wsgi_application, handler_class=QuietWSGIHandler
    )

    async with driving(server):
        reply = await in_thread(fetch, server.server_port, "/metrics")

    assert reply == (200, b"/metrics")


# werkzeug


@werkzeug.Request.application
def werkzeug_application(request: werkzeug.Request) -> werkzeug.Response:
    return werkzeug.Response(f"Hello {request.args['name']}")


class QuietWerkzeugHandler(werkzeug.serving.WSGIRequestHandler):
    """Keeps the console clean."""

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002  # theirs
        pass


@pytest.mark.parametrize("threaded", [False, True])
async def test_werkzeug(threaded: bool) -> None:
    server = werkzeug.serving.make_server(
        "127.0.0.1",
        0,
        werkzeug_application,
        threaded=threaded,
        request_handler=QuietWerkzeugHandler,
    )

    async with driving(server):
        reply = await in_thread(fetch, server.port, "/?name=Delhi")

    assert reply == (200, b"Hello Delhi")


# logging


class RecordHandler(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture
def receiver_log() -> Iterator[RecordHandler]:
    handler = RecordHandler()
    logger = logging.getLogger("received")
    logger.addHandler(handler)
    logger.propagate = False
    yield handler
    logger.removeHandler(handler)
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


class LogRecordHandler(socketserver.StreamRequestHandler):
    """Reads pickled records, as the logging cookbook's receiver does."""

    def handle(self) -> None:
        while header := self.rfile.read(4):
            (length,) = struct.unpack(">L", header)
            fields = pickle.loads(self.rfile.read(length))  # noqa: S301  # a test's own
            logging.getLogger("received").handle(logging.makeLogRecord(fields))


class LogRecordReceiver(socketserver.ThreadingTCPServer):
    """Receives what a `logging.handlers.SocketHandler` sends."""

    allow_reuse_address = True


def log_remotely(port: int) -> None:
    sender = logging.handlers.SocketHandler("127.0.0.1", port)
    for message in ("first", "second"):
        fields = {"name": "app", "msg": message, "levelno": logging.INFO}
        sender.emit(logging.makeLogRecord(fields))
    sender.close()


async def test_a_receiver_of_log_records(receiver_log: RecordHandler) -> None:
    async with driving(LogRecordReceiver(LOOPBACK, LogRecordHandler)) as server:
        await in_thread(log_remotely, server.server_address[1])
        # Whoever sends a record gets no answer; the end of the block joins the thread.

    assert receiver_log.messages == ["first", "second"]


def send_configuration(port: int) -> None:
    """Raise the level of a logger from afar, as `logging.config.listen` documents."""
    loggers = {"received": {"level": "ERROR"}}
    configuration = {"version": 1, "incremental": True, "loggers": loggers}
    data = json.dumps(configuration).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=STUCK) as sock:
        sock.sendall(struct.pack(">L", len(data)) + data)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""  # it was read and carried out


async def test_the_receiver_of_logging_config_listen(
    receiver_log: RecordHandler,
) -> None:
    thread = logging.config.listen(0)  # noqa: S612  # on loopback
    # The thread is never started: this makes the server that it would have run.
    server = thread.rcvr(  # type: ignore[attr-defined]  # a local class of listen()'s
        port=0,
        handler=thread.hdlr,  # type: ignore[attr-defined]  # likewise
        ready=thread.ready,  # type: ignore[attr-defined]  # likewise
    )

    async with driving(server):
        await in_thread(send_configuration, server.socket.getsockname()[1])

    assert logging.getLogger("received").level == logging.ERROR


# dnslib


class OneName(dnslib.server.BaseResolver):  # type: ignore[misc]  # it has no types
    """Knows one address."""

    def resolve(self, request: dnslib.DNSRecord, handler: object) -> dnslib.DNSRecord:
        reply = request.reply()
        reply.add_answer(*dnslib.RR.fromZone("trio.test. 60 A 192.0.2.7"))
        return reply


def resolve(port: int, tcp: bool) -> str:
    question = dnslib.DNSRecord.question("trio.test")
    reply = question.send("127.0.0.1", port, tcp=tcp, timeout=STUCK)
    return str(dnslib.DNSRecord.parse(reply).short())


@pytest.mark.parametrize("tcp", [False, True])
async def test_dnslib(tcp: bool) -> None:
    server = dnslib.server.DNSServer(
        OneName(),
        address="127.0.0.1",
        port=0,
        tcp=tcp,
        logger=dnslib.server.DNSLogger(log="-request,-reply,-truncated,-error"),
    ).server

    async with driving(server):
        port = server.socket.getsockname()[1]
        answers = [await in_thread(resolve, port, tcp) for _ in range(3)]

    assert answers == ["192.0.2.7"] * 3


# python-osc


class Heard:
    """What OSC messages have said."""

    def __init__(self, count: int) -> None:
        self.values: list[object] = []
        self.all = trio.Event()
        self.dispatcher = pythonosc.dispatcher.Dispatcher()
        self.dispatcher.map("/volume", self._note)
        self._count = count
        self._token = trio.lowlevel.current_trio_token()

    def _note(self, _address: str, value: object) -> None:
        self.values.append(value)
        if len(self.values) == self._count:
            self._token.run_sync_soon(self.all.set)


@pytest.mark.parametrize(
    "server_class",
    [
        pythonosc.osc_server.BlockingOSCUDPServer,
        pythonosc.osc_server.ThreadingOSCUDPServer,
    ],
)
async def test_python_osc_udp(
    server_class: type[pythonosc.osc_server.OSCUDPServer],
) -> None:
    heard = Heard(3)

    async with driving(server_class(LOOPBACK, heard.dispatcher)) as server:
        client = pythonosc.udp_client.SimpleUDPClient(*server.server_address)
        for value in range(3):
            client.send_message("/volume", value)
        await heard.all.wait()
        client._sock.close()

    assert sorted(map(str, heard.values)) == ["0", "1", "2"]


@pytest.mark.parametrize(
    "server_class",
    [
        pythonosc.osc_tcp_server.BlockingOSCTCPServer,
        pythonosc.osc_tcp_server.ThreadingOSCTCPServer,
    ],
)
async def test_python_osc_tcp(
    server_class: type[pythonosc.osc_tcp_server.OSCTCPServer],
) -> None:
    heard = Heard(3)

    async with driving(server_class(LOOPBACK, heard.dispatcher)) as server:
        client = await in_thread(
            pythonosc.tcp_client.SimpleTCPClient, *server.server_address
        )
        for value in range(3):
            client.send_message("/volume", value)
        await heard.all.wait()
        client.close()  # type: ignore[no-untyped-call]  # theirs

    assert heard.values == [0, 1, 2]
