"""``python -m perf.drift.floors``: is anything half as slow again? By floors of the same minute.

A small gate for every change: each figure is in units of something that was measured beside it, and is the least of
many short rounds, which a busy machine disturbs late. What is over its limit is measured again, for noise goes away
and a loss does not. docs/performance/gates.md says what each figure is.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from perf.drift import files
from perf.drift.command import CANNOT, DRIFTED, PASSED
from perf.drift.files import CannotJudge
from perf.drift.noise import median_of
from perf.record import ROOT, Record

TRIES = 4
PATIENCE = 120.0
"""Seconds after which a suite is given up."""


class Check(NamedTuple):
    """
    :ivar figure: of a record of the suite that the gate runs.
    :ivar usual: the figure where nothing else runs (AMD EPYC, two cores); two thirds of what fails for sure.
    """

    name: str
    figure: Callable[[Record], float]
    usual: float

    @property
    def limit(self) -> float:
        return self.usual * ALLOWED


class Suite(NamedTuple):
    """What is run together: words after ``python -m``, and the option that says where its record goes."""

    words: tuple[str, ...]
    out: str
    checks: tuple[Check, ...]


ALLOWED = 1.35
"""Times the usual figure: what other machines and busy hours differ by, and less than a loss of a half."""


def rounds(record: Record, kind: str, of: str = "") -> tuple[float, ...]:
    """:raises CannotJudge: the record has none."""
    found = next((one.rounds for one in record.measures if (one.kind, one.of) == (kind, of)), None)
    if found is None:
        raise CannotJudge(f"{record.suite} {record.name} has measured no {kind} {of}")
    return found


def ratio(of: str) -> Callable[[Record], float]:
    """To the C loop, round by round."""
    return lambda record: median_of(rounds(record, "ratio", of)).low


def over(of: str) -> Callable[[Record], float]:
    """What the application adds to its cryptography, in Ed25519 signatures."""

    def figure(record: Record) -> float:
        cpu, added = rounds(record, "cpu", of), rounds(record, "over", of)
        core = min(app - more for app, more in zip(cpu, added, strict=True))
        return (min(cpu) - core) / min(rounds(record, "floor"))

    return figure


def cost(record: Record) -> float:
    """Processor time of a worker an operation, in Ed25519 signatures."""
    return min(rounds(record, "cpu")) / min(rounds(record, "floor"))


def _load(server: str, usual: float) -> Suite:
    words = ("perf.load", "run", "--mix", "sign", "--server", server, "--duration", "4", "--rounds", "10")
    return Suite(words, "--json", (Check(f"sign on {server}, signatures", cost, usual),))


ALONE, FULL = "sign ed25519 batch=1, 1 in flight", "sign ed25519 batch=1, 64 in flight"
FLOOR = "sign ed25519 batch=64, 1 in flight"

SUITES = (
    Suite(
        ("perf.micro", "--suites", "ed25519", "--batches", "64", "--seconds", "2"),
        "--results",
        tuple(
            Check(f"core, {of} by the C loop", ratio(f"{of} batch=64"), 1.0)
            for of in ("generate ed25519", "sign ed25519", "verify ed25519")
        ),
    ),
    Suite(
        ("perf.edge", "--cell", ALONE, "--cell", FULL, "--cell", FLOOR, "--seconds", "5"),
        "--results",
        (
            Check("application, 1 in flight, signatures", over(ALONE), 2.8),
            Check("application, 64 in flight, signatures", over(FULL), 2.2),
        ),
    ),
    _load("hypercorn", 7.2),
    _load("granian", 7.2),
)


def main() -> int:
    over_limit = [name for suite in SUITES for name in _fails(suite)]
    if over_limit:
        print(f"slower by a half or nearly: {', '.join(over_limit)}", file=sys.stderr)
    return DRIFTED if over_limit else PASSED


def _fails(suite: Suite) -> Sequence[str]:
    """Names of what is over its limit in every try.

    :raises CannotJudge: no try came to figures.
    """
    least = dict.fromkeys((check.name for check in suite.checks), math.inf)
    failing: Sequence[Check] = suite.checks
    reason: CannotJudge | None = None
    for _ in range(TRIES):
        try:
            record = _run(suite)
        except CannotJudge as why:  # on a very busy machine a service refuses, as it should
            reason = why
            continue
        for check in suite.checks:
            least[check.name] = min(least[check.name], check.figure(record))
        failing = [check for check in suite.checks if least[check.name] > check.limit]
        if not failing:
            break
    if reason is not None and math.inf in least.values():
        raise reason
    for check in suite.checks:
        word = "over" if check in failing else "ok"
        print(f"{check.name:44} {least[check.name]:6.2f}  limit {check.limit:6.2f}  {word}", flush=True)
    return [check.name for check in failing]


def _run(suite: Suite) -> Record:
    with tempfile.TemporaryDirectory(prefix="ron-kms-floors-") as folder:
        place = folder if suite.out == "--results" else f"{folder}/record.json"
        command = [sys.executable, "-m", *suite.words, suite.out, place]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            raise CannotJudge(f"{suite.words[0]} took longer than {PATIENCE:g} s") from None
        if done.returncode != 0:
            raise CannotJudge(f"{suite.words[0]} failed:\n{done.stderr.strip()}")
        [record] = files.read([Path(folder)])
        return record


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CannotJudge as reason:
        print(f"cannot judge: {reason}", file=sys.stderr)
        sys.exit(CANNOT)
