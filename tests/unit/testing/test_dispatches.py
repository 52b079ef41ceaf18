"""What threads and children tell, and that it is told whole, or not at all."""

from __future__ import annotations

import os
from typing import Final, NoReturn

from trioserver._testing.dispatches import Dispatches
from trioserver._testing.fault import Fault
from trioserver._testing.leaks import open_descriptors

FAULT: Final = Fault("recv", "ECONNRESET")


def test_one_may_make_trouble_in_each_run() -> None:
    with Dispatches() as dispatches:
        assert not dispatches.claim()
        for _ in range(2):
            dispatches.start_anew()
            assert [dispatches.claim() for _ in range(3)] == [True, False, False]


def test_nobody_may_after_the_end() -> None:
    with Dispatches() as dispatches:
        dispatches.start_anew()
        dispatches.withdraw()
        assert not dispatches.claim()


def _tell(dispatches: Dispatches) -> NoReturn:
    dispatches.count(7)
    dispatches.send(FAULT)
    os._exit(0)


def test_a_child_is_heard() -> None:
    with Dispatches() as dispatches:
        child = os.fork() or _tell(dispatches)
        os.waitpid(child, 0)
        dispatches.count(3)

        assert dispatches.most == 7
        assert list(dispatches.receive()) == [FAULT]
        assert list(dispatches.receive()) == []
        dispatches.start_anew()
        assert dispatches.most == 0


def test_a_flood_is_told_in_whole_pieces() -> None:
    with Dispatches() as dispatches:
        for _ in range(1000):
            dispatches.send("\N{SNOWMAN}" * 5000)
        told = list(dispatches.receive())

    assert told
    assert set(told) == {"\N{SNOWMAN}" * 1000}


def test_everything_is_closed() -> None:
    before = open_descriptors()
    with Dispatches():
        assert open_descriptors() != before

    assert open_descriptors() == before
