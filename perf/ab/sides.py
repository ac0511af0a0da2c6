"""The rounds of both sides, in turns, until they can be judged."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from perf import record
from perf.drift import waivers
from perf.drift.command import CANNOT, Verdict, check
from perf.load.commands.options import Setup
from perf.load.figures import to_record
from perf.load.mixes import Load, Mix, prepare
from perf.load.rounds import Round, take, target_of
from perf.load.service import Service, serving
from perf.record import Record

LOOK_EVERY = 4
"""Rounds between two looks at whether there are enough."""


class Side(NamedTuple):
    """One of the two: its running service, what it is sent, and its rounds."""

    service: Service
    mix: Mix
    begun: Record
    rounds: list[Round]


class Outcome(NamedTuple):
    baseline: Record
    result: Record
    verdict: Verdict


@contextlib.contextmanager
def sides(tree: Path, name: str, load: Load, ready: Setup, setting: dict[str, record.Value]) -> Iterator[list[Side]]:
    """The baseline's service and this tree's, side by side on the same cores.

    :param tree: of the baseline.
    """
    with (
        serving(ready.cores, ready.place._replace(tree=tree), **ready.settings) as before,
        serving(ready.cores, ready.place, **ready.settings) as after,
    ):
        result = record.begin("load", name, "result", setting)
        baseline = msgspec.structs.replace(result, role="baseline", code=record.code(tree))
        yield [
            Side(service, prepare(name, service, load), begun, [])
            for service, begun in ((before, baseline), (after, result))
        ]


def measure(
    both: Sequence[Side], seconds: float, least: int, until: float, command: str, told: Callable[[int], None]
) -> Outcome:
    """Rounds in the order ABBA, each of so many seconds; both sides get the same rate.

    :param least: rounds of each side; where they are too noisy to judge more are taken.
    :param until: when there must be an end, on the monotonic clock.
    :param told: called with how many rounds there are.
    """
    target = min(target_of(side.service, side.mix) for side in both)
    kept, origin = waivers.read(waivers.FOLDER), time.perf_counter()
    while True:
        for side in both if len(both[0].rounds) % 2 == 0 else reversed(both):
            side.rounds.append(take(side.service, side.mix.streams(target), seconds, origin))
        count = len(both[0].rounds)
        told(count)
        if count < least or (count - least) % LOOK_EVERY:
            continue
        baseline, result = (to_record(side.begun, side.rounds, command, target or None) for side in both)
        verdict = check([baseline, result], kept, dt.datetime.now(dt.UTC).date(), everything=True)
        if verdict.code != CANNOT or time.monotonic() >= until:
            return Outcome(baseline, result, verdict)
