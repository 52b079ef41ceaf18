"""The driver of an object, where it is cancelled."""

from __future__ import annotations

import math
import socketserver

import trio

from kit.serving import LOOPBACK
from kit.threads import UpperThreadDatagramHandler
from trioserver._bridge.driver import Driver, DriverSettings
from trioserver._bridge.incoming import Incoming


class DaemonUDPServer(socketserver.ThreadingUDPServer):
    """Does not wait for its threads."""

    daemon_threads = True


async def test_a_request_that_no_thread_has_begun_with_is_given_up_at_once() -> None:
    settings = DriverSettings(math.inf, math.inf, math.inf, 0.5)
    with DaemonUDPServer(LOOPBACK, UpperThreadDatagramHandler) as server:
        driver = Driver(server, settings)
        incoming = Incoming((b"hello", server.socket))
        with trio.CancelScope() as scope:
            scope.cancel()
            await driver.process_request(incoming, server.server_address)
        driver._close_at_once()

    assert scope.cancelled_caught
    assert not incoming.has_begun
