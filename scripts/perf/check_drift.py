#!/usr/bin/env python3
"""``check_drift.py BASELINES... RESULTS...``: exit 1 where a result is worse than its baseline allows."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from perf.drift.command import main

if __name__ == "__main__":
    sys.exit(main())
