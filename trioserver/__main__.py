"""``python -m trioserver``: the same as the command ``trioserver``."""

from __future__ import annotations

import sys

from trioserver._cli.main import main

if __name__ == "__main__":
    sys.exit(main())
