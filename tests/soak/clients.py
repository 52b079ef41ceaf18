"""Be the clients: `python -m soak.clients`, led by its standard input."""

from __future__ import annotations

import resource

import trio

from soak.loads.flood import flood
from soak.loads.garbage import garble
from soak.loads.held import HeldClients
from soak.loads.resets import reset_many
from soak.loads.slow import SlowClients
from soak.loads.storm import storm
from soak.obedience import obey


async def lead() -> None:
    """Do what is asked for, until standard input ends."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    async with trio.open_nursery() as nursery:
        slow, held = SlowClients(nursery), HeldClients()
        await obey(
            {
                "open_slow": slow.open,
                "close_slow": slow.close,
                "count_ended": slow.count_ended,
                "reset_many": reset_many,
                "storm": storm,
                "garble": garble,
                "flood": flood,
                "open_held": held.open,
                "ask_held": held.ask,
                "close_held": held.close,
            }
        )
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(lead)
