"""The targets, and whether the figures meet them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from perf.micro.cells import PARTS
from perf.micro.figures import CellFigures, Ratio

FLOOR_LIMIT = 1.05
FLOOR_FROM_BATCH = 8
SCALING_LIMIT = 1.9
SCALING_FROM_BATCH = 256
ENOUGH_ROUNDS = 6
PYCA_LIMITS = {("sign", "ed25519"): 1.7, ("sign", "ml-dsa-65"): 6.5, ("verify", "ml-dsa-65"): 3.3}


class Verdict(msgspec.Struct, frozen=True):
    """
    :ivar target: ``floor``: at most so many times the C loop; ``scaling``: at least so much on two threads; ``pyca``:
        at least so many times as fast as pyca/cryptography.
    :ivar sure: the limit is outside the ratio's bounds, and these are of enough rounds to say so.
    :ivar floor: for ``scaling``, what the C loop reached in the same rounds.
    """

    target: str
    where: str
    limit: float
    ratio: Ratio
    met: bool
    sure: bool
    floor: float | None = None


def judge(cells: Sequence[CellFigures]) -> list[Verdict]:
    """Every target of every cell that has one."""
    return [verdict for cell in cells for verdict in (floor_verdict(cell), scaling_verdict(cell)) if verdict] + [
        verdict for operation, suite in PYCA_LIMITS if (verdict := pyca_verdict(cells, operation, suite))
    ]


def floor_verdict(cell: CellFigures) -> Verdict | None:
    if cell.to_floor is None or cell.suite in PARTS or cell.batch < FLOOR_FROM_BATCH:
        return None
    return verdict_of("floor", cell.name, FLOOR_LIMIT, cell.to_floor, cell.to_floor.value <= FLOOR_LIMIT)


def scaling_verdict(cell: CellFigures) -> Verdict | None:
    if cell.scaling is None or cell.floor_scaling is None or cell.batch < SCALING_FROM_BATCH:
        return None
    verdict = verdict_of("scaling", cell.name, SCALING_LIMIT, cell.scaling, cell.scaling.value >= SCALING_LIMIT)
    return msgspec.structs.replace(verdict, floor=cell.floor_scaling.value)


def pyca_verdict(cells: Sequence[CellFigures], operation: str, suite: str) -> Verdict | None:
    """Of all batches that are not singles together, each with the weight of its rounds."""
    found = [
        cell.pyca
        for cell in cells
        if cell.pyca and (cell.operation, cell.suite) == (operation, suite) and cell.batch >= FLOOR_FROM_BATCH
    ]
    if not found:
        return None
    rounds = sum(pyca.rounds for pyca in found)
    value = sum(pyca.rounds * pyca.value for pyca in found) / rounds
    half = math.hypot(*(pyca.rounds * (pyca.high - pyca.low) / 2 for pyca in found)) / rounds
    limit = PYCA_LIMITS[operation, suite]
    ratio = Ratio(value, value - half, value + half, rounds)
    return verdict_of("pyca", f"{operation} {suite} batches", limit, ratio, value >= limit)


def verdict_of(target: str, where: str, limit: float, ratio: Ratio, met: bool) -> Verdict:
    """With whether the limit is outside the ratio's bounds."""
    sure = ratio.rounds >= ENOUGH_ROUNDS and not ratio.low <= limit <= ratio.high
    return Verdict(target, where, limit, ratio, met, sure)
