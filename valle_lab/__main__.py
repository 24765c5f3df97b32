"""``python -m valle_lab``: the same as the command ``valle-lab``."""

from __future__ import annotations

import sys

from valle_lab.cli import main

if __name__ == "__main__":
    sys.exit(main())
