"""Be one of the servers: `python -m benchmarks.serve CONTENDER SERVICE CORE`."""

from __future__ import annotations

import importlib
import os
import resource
import sys

from benchmarks.contenders import CONTENDERS


def main(contender: str, service: str, core: str) -> None:
    """Serve on one core until SIGTERM, with as many connections as the system lets."""
    os.sched_setaffinity(0, {int(core)})
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    module = importlib.import_module(CONTENDERS[contender].module)
    module.SERVICES[service]()


if __name__ == "__main__":
    main(*sys.argv[1:])
