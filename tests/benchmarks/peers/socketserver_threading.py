"""The standard library's `socketserver` with a thread for each request.

https://docs.python.org/3/library/socketserver.html#asynchronous-mixins
"""

from __future__ import annotations

import signal
import socketserver
import threading

from benchmarks.peers.service import HOST, announce, reply_to


class EchoHandler(socketserver.StreamRequestHandler):
    """Sends each line back."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)


class ReplyHandler(socketserver.StreamRequestHandler):
    """Answers each line with many bytes."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(reply_to(line))


class EchoDatagramHandler(socketserver.DatagramRequestHandler):
    """Sends a datagram back."""

    def handle(self) -> None:
        self.wfile.write(self.rfile.read())


class StreamServer(socketserver.ThreadingTCPServer):
    """Does not wait for connections that stay open when it stops."""

    daemon_threads = True
    request_queue_size = 1000


def serve(server: socketserver.TCPServer | socketserver.UDPServer) -> None:
    """Serve until SIGTERM."""

    def stop(*_: object) -> None:
        # From a thread: shutdown() waits for the loop, which this handler interrupts.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    announce(server.server_address[1])
    with server:
        server.serve_forever()


SERVICES = {
    "lines": lambda: serve(StreamServer((HOST, 0), EchoHandler)),
    "replies": lambda: serve(StreamServer((HOST, 0), ReplyHandler)),
    "datagrams": lambda: serve(
        socketserver.ThreadingUDPServer((HOST, 0), EchoDatagramHandler)
    ),
}
