"""`python -m pebr_train`: the console script `pebr-train`, for launchers that start modules."""

from __future__ import annotations

import sys

from pebr_train.cli import main

if __name__ == "__main__":
    sys.exit(main())
