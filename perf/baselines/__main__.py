"""``python -m perf.baselines``: take the baselines of this machine."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import perf.baselines
from perf import record
from perf.baselines import FOLDER
from perf.baselines.compact import write
from perf.nightly.plan import Step, plan
from perf.nightly.steps import FULL_LIMIT, SHORT_LIMIT, run


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m perf.baselines", description=perf.baselines.__doc__)
    parser.add_argument("--full", action="store_true", help="the lengths of the nightly run's NIGHTLY=full")
    parser.add_argument("--only", default="", metavar="TEXT", help="steps whose names have this in them")
    parser.add_argument("--more", action="store_true", help="keep those that are there: these are of another hour")
    parser.add_argument("--folder", type=Path, default=FOLDER / record.host().name, help="where they are kept")
    options = parser.parse_args(arguments)
    steps = [step for step in plan() if step.baseline and options.only in step.name]
    failed = [step.name for step in steps if not take(step, options.folder, more=options.more, full=options.full)]
    print(f"failed: {', '.join(failed)}" if failed else f"{len(steps)} baselines in {options.folder}")
    return 1 if failed else 0


def take(step: Step, folder: Path, *, more: bool, full: bool) -> bool:
    """Whether it came to a record; those of this step that are there go, unless there are to be more."""
    with tempfile.TemporaryDirectory(prefix="ron-kms-baseline-") as place:
        records, logs = Path(place) / "records", Path(place) / "logs"
        done = run(step.name, step.command(records, "baseline", full=full), logs, FULL_LIMIT if full else SHORT_LIMIT)
        found = sorted(records.glob("*.json"))
        if done.failed or not found:
            return False
        there = sorted(folder.glob(f"{step.name}.*.json"))
        for path in () if more else there:
            path.unlink()
        first = len(there) + 1 if more else 1
        for number, path in enumerate(found, first):
            write(record.load(path), folder / f"{step.name}.{number}.json")
    return True


if __name__ == "__main__":
    sys.exit(main())
