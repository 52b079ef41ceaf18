"""`python -m soak`."""

from __future__ import annotations

import sys

from soak.command_line import main

sys.exit(main(sys.argv[1:]))
