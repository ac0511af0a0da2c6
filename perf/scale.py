"""What a key costs among few keys and among many: create, sign and rotate through ``ron_kms.open``, and opening itself.

``python -m perf.scale`` prints the table; docs/performance/scale.md says how it is measured.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import msgspec

import ron_kms
from perf.micro.figures import of_rounds
from perf.micro.targets import Verdict, verdict_of
from perf.record import ROOT, code
from ron_kms.service.local import LocalKms

FORMAT = 1
FEW = 10
KEYS = 20_000
ROUNDS = 20
SAMPLES = 10
"""Calls of each kind in a round; of hot signatures ten times as many."""
COST_LIMIT = 1.25
OPEN_LIMIT = 3.0
"""Seconds, with 100,000 keys."""
FILLERS = 16
SUITE = "ed25519"
DIGEST = bytes(32)


class Round(msgspec.Struct):
    """Microseconds a call, median of a round's calls; ``open`` is one call."""

    open: float
    sign_cold: float
    sign_hot: float
    create: float
    rotate: float


class Results(msgspec.Struct):
    """
    :ivar format: rises when a field changes its meaning or goes.
    :ivar metadata: of the run.
    :ivar few: how many keys the small store has when a round begins.
    :ivar many: how many the large one has when the first begins.
    :ivar filled_per_second: keys made a second while it was filled.
    :ivar few_rounds: of the small store; the large one's of the same position were measured right after.
    :ivar many_rounds: of the large store.
    :ivar open_seconds: the longest opening of the large store.
    :ivar verdicts: ``cost``: many by few; ``open``: its limit and ratio are in seconds.
    """

    format: int
    metadata: dict[str, str | float]
    few: int
    many: int
    filled_per_second: float
    few_rounds: list[Round]
    many_rounds: list[Round]
    open_seconds: float
    verdicts: list[Verdict]


class Store:
    """A store in a folder, with the keys that are known to be in it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.kids: list[str] = []

    def open(self) -> LocalKms:
        return ron_kms.open(f"sqlite:///{self._folder}/keys.db", seal=f"keyfile:{self._folder}/root.key")

    def fill(self, count: int) -> None:
        """Make keys from several threads, so that they share commits."""
        with self.open() as kms, ThreadPoolExecutor(FILLERS) as pool:
            for n, kid in enumerate(pool.map(lambda _: _create(kms), range(count)), start=1):
                self.kids.append(kid)
                if n % 10_000 == 0:
                    print(f"{n:,} of {count:,} keys", file=sys.stderr, flush=True)

    def measure(self, chosen: random.Random) -> Round:
        """One round. The store is opened anew for it, so that nothing of any key is in memory."""
        before = time.perf_counter_ns()
        kms = self.open()
        opened = (time.perf_counter_ns() - before) / 1000
        with kms:
            kids = chosen.sample(self.kids, SAMPLES)
            cold = _median([lambda kid=kid: kms.sign(kid, digest=DIGEST) for kid in kids])  # type: ignore[misc]
            hot = _median([lambda: kms.sign(kids[0], digest=DIGEST)] * SAMPLES * 10)
            create = _median([lambda: self.kids.append(_create(kms))] * SAMPLES)
            rotate = _median([lambda kid=kid: kms.rotate(kid.partition("#")[0]) for kid in kids])  # type: ignore[misc]
        return Round(opened, cold, hot, create, rotate)


def _create(kms: LocalKms) -> str:
    """A key of one of seven tenants; its kid without a version stands for the newest."""
    return kms.create(tenant=f"tenant-{random.randrange(7)}", purpose="bench", suite=SUITE).partition("#")[0]


def _median(calls: Sequence[Callable[[], object]]) -> float:
    times = []
    for call in calls:
        before = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - before)
    return statistics.median(times) / 1000


def measure(many: int, rounds: int, folder: Path, load: float) -> Results:
    """Rounds of a fresh small store and of the large one in turns, so that what disturbs the machine disturbs both."""
    chosen = random.Random(0)
    large = Store(folder / "many")
    began = time.monotonic()
    large.fill(many)
    filled = many / (time.monotonic() - began)
    few_rounds, many_rounds = [], []
    for number in range(rounds):
        small = Store(folder / f"few-{number}")
        small.fill(FEW)
        few_rounds.append(small.measure(chosen))
        many_rounds.append(large.measure(chosen))
    seconds = max(one.open for one in many_rounds) / 1e6
    verdicts = [*_costs(few_rounds, many_rounds), _opening(many_rounds)]
    of = code()
    loads = {"load_before": round(load, 2), "load_after": round(os.getloadavg()[0], 2)}
    metadata = {"commit": of.commit, "changed": "yes" if of.changed else "no", **loads}
    return Results(FORMAT, metadata, FEW, many, filled, few_rounds, many_rounds, seconds, verdicts)


def _costs(few: Sequence[Round], many: Sequence[Round]) -> Iterator[Verdict]:
    for name in ("create", "sign_cold", "sign_hot", "rotate"):
        ratio = of_rounds([getattr(b, name) / getattr(a, name) for a, b in zip(few, many, strict=True)])
        yield verdict_of("cost", name, COST_LIMIT, ratio, ratio.value <= COST_LIMIT)


def _opening(many: Sequence[Round]) -> Verdict:
    ratio = of_rounds([one.open / 1e6 for one in many])
    return verdict_of("open", "open", OPEN_LIMIT, ratio, all(one.open / 1e6 <= OPEN_LIMIT for one in many))


def render(results: Results) -> str:
    """The table."""
    of = results.metadata
    changed = " and changes" if of["changed"] == "yes" else ""
    lines = [
        f"commit {str(of['commit'])[:12]}{changed}, load {of['load_before']} before and {of['load_after']} after",
        f"{results.many:,} keys made, {results.filled_per_second:,.0f} a second by {FILLERS} threads",
        "",
        f"{'µs a call, ' + SUITE:<20} {f'{results.few} keys':>12} {f'{results.many:,} keys':>14}   many by few",
    ]
    for verdict in results.verdicts:
        few, many = (
            statistics.median(getattr(one, verdict.where) for one in rounds)
            for rounds in (results.few_rounds, results.many_rounds)
        )
        word = ("met" if verdict.met else "missed") + ("" if verdict.sure else "?")
        ratio = verdict.ratio
        judged = f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f}), at most {verdict.limit} wanted: {word}"
        if verdict.target == "open":
            judged = f"{results.open_seconds:.2f} s at most, {verdict.limit:.0f} s allowed: {word}"
        lines.append(f"{verdict.where.replace('_', ' '):<20} {few:>12,.0f} {many:>14,.0f}   {judged}")
    lines += ["", "A question mark: too few rounds, or the limit is within the bounds of what was measured."]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m perf.scale", description=__doc__)
    parser.add_argument("--keys", type=int, default=KEYS, help="in the large store; the targets are for 100000")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="six or more prove something")
    parser.add_argument("--results", type=Path, default=ROOT / "perf" / "results", help="folder for the JSON file")
    options = parser.parse_args(arguments)
    if options.keys < FEW or options.rounds < 1:
        parser.error(f"--keys is at least {FEW} and --rounds 1")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="ron-kms-scale-") as folder:
        results = measure(options.keys, options.rounds, Path(folder), load)
    print(render(results))
    options.results.mkdir(parents=True, exist_ok=True)
    path = options.results / f"scale-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{str(results.metadata['commit'])[:12]}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    print(f"written: {os.path.relpath(path)}", file=sys.stderr)


if __name__ == "__main__":
    main()
