"""``python -m perf.nightly``: all suites, the report, and the gates; exit 1 where anything failed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import perf.nightly
from perf import record
from perf.baselines import FOLDER as BASELINES
from perf.nightly.plan import plan
from perf.nightly.steps import FULL_LIMIT, SHORT_LIMIT, Done, run


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m perf.nightly", description=perf.nightly.__doc__)
    parser.add_argument(
        "--full",
        action="store_true",
        default=os.environ.get("NIGHTLY") == "full",
        help="the lengths of the performance profile (NIGHTLY=full)",
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="steps whose names have this in them")
    parser.add_argument("--baselines", type=Path, default=BASELINES / record.host().name, help="folder of baselines")
    parser.add_argument("--results", type=Path, help="folder for records, logs and report; by default a new one")
    parser.add_argument("--list", action="store_true", help="print the steps, and end")
    options = parser.parse_args(arguments)
    steps = [step for step in plan() if options.only in step.name]
    folder: Path = options.results or record.RESULTS / "nightly" / record.now().replace(":", "").replace("-", "")
    commands = [(step.name, step.command(folder, "result", full=options.full)) for step in steps]
    if options.list:
        print("\n".join(f"{name}: python {' '.join(command)}" for name, command in commands))
        return 0
    limit = FULL_LIMIT if options.full else SHORT_LIMIT
    done = [run(name, command, folder, limit) for name, command in commands]
    done.append(run("report", ["-m", "perf.report", str(folder), "--out", str(folder / "report.html")], folder, limit))
    done.append(run("drift", ["scripts/perf/check_drift.py", str(options.baselines), str(folder)], folder, limit))
    print(done[-1].log.read_text() if not done[-1].failed else "", end="")
    return _end(done, folder)


def _end(done: Sequence[Done], folder: Path) -> int:
    failed = [one.name for one in done if one.failed]
    print(f"\nrecords, logs and report.html: {os.path.relpath(folder)}")
    print(f"failed: {', '.join(failed)}" if failed else f"all {len(done)} steps passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
