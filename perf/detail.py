"""Shapes that several suites put into the ``detail`` of their records, so that one report draws them all.

``detail`` is an object. Under ``series`` it has a list of :class:`Series`, under ``distributions`` one of
:class:`Distribution`, under ``command`` how the run is done again; all else is the suite's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from perf.record import Record

_NAMED = frozenset({"scale"})
"""Suites whose commands take the name of what they measure."""

SHARES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 0.99999, 1.0)
"""What a distribution is kept as."""


class Series(msgspec.Struct, frozen=True):
    """Something that was sampled over a run.

    :ivar name: what: ``p95``, ``resident``, ``files``, ``rate``, ``shed``, ``cpu``: where it is one of the kinds of
        measures, in the unit of that.
    :ivar of: of whom: a tenant, a client, a worker; empty: of the run.
    :ivar at: seconds since the run began.
    :ivar values: at these times; None where there was nothing to see.
    """

    name: str
    unit: str
    at: tuple[float, ...]
    values: tuple[float | None, ...]
    of: str = ""


class Distribution(msgspec.Struct, frozen=True):
    """How long requests took.

    :ivar of: which requests, as in a measure's ``of``.
    :ivar count: how many.
    :ivar points: share of all, and the milliseconds that this share did not exceed; by share.
    """

    of: str
    count: int
    points: tuple[tuple[float, float], ...]


def distribution(of: str, milliseconds: Sequence[float]) -> Distribution:
    """Of values in any order; shares that so few values cannot tell are left out."""
    ordered = sorted(milliseconds)
    count = len(ordered)
    told = [share for share in SHARES if count and (share in {0.5, 1.0} or count * min(share, 1 - share) >= 1)]
    points = [(share, round(ordered[max(0, math.ceil(share * count) - 1)], 4)) for share in told]
    return Distribution(of, count, tuple(points))


def series(record: Record) -> list[Series]:
    """What a record has of them.

    :raises msgspec.ValidationError: it has something else under that name.
    """
    return msgspec.convert(_under(record, "series"), list[Series])


def distributions(record: Record) -> list[Distribution]:
    """:raises msgspec.ValidationError: there is something else under that name."""
    return msgspec.convert(_under(record, "distributions"), list[Distribution])


def command(record: Record) -> str:
    """How the run is done again, as far as the record tells."""
    told = record.detail.get("command") if isinstance(record.detail, dict) else None
    if told:
        return str(told)
    return f"python -m perf.{record.suite}" + (f" {record.name}" if record.suite in _NAMED else "")


def _under(record: Record, name: str) -> Any:
    return record.detail.get(name) or [] if isinstance(record.detail, dict) else []
