"""The doubles of the engine and the worker, on the path of the tests and of the processes they start."""

from __future__ import annotations

import os
import sys
from pathlib import Path

DOUBLES = str(Path(__file__).parent / "doubles")
if DOUBLES not in sys.path:
    sys.path.insert(0, DOUBLES)
    os.environ["PYTHONPATH"] = os.pathsep.join([DOUBLES, *filter(None, [os.environ.get("PYTHONPATH")])])
