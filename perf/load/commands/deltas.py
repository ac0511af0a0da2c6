"""``python -m perf.load deltas``: what hybrid signatures cost more than classical ones."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from perf import record
from perf.load.commands.options import command_line, keep_all, records_options, service_options, setup, turn_options
from perf.load.figures import median
from perf.load.mixes import SUITES
from perf.load.scenarios import sign_requests, verify_requests
from perf.load.service import Service, serving
from perf.load.turns import Turn, find_capacities, measure, to_records


class Delta(NamedTuple):
    """
    :ivar name: of the scenario; ``hybrid`` and ``classical``: of the records that are compared.
    :ivar given: milliseconds of p95 that the profile's table has for it.
    """

    name: str
    hybrid: str
    classical: str
    given: float


DELTAS = (
    Delta("verify, or", "delta-verify-or", "delta-verify-classical", 1.2),
    Delta("verify, and", "delta-verify-and", "delta-verify-classical", 2.3),
    Delta("sign", "delta-sign-hybrid", "delta-sign-classical", 7.9),
)
GIVEN_KIB = 1.1


@click.command()
@turn_options
@service_options
@records_options
def deltas(
    duration: float,
    rounds: int,
    share: float,
    connections: int,
    depth: int,
    calibration: float,
    role: record.Role,
    results: Path,
    **service: Any,
) -> None:
    """p95 and bytes of hybrid signatures (Ed25519 with ML-DSA-65) by those of Ed25519 alone, in turns, all at the same
    rate: a share of what a closed loop reaches of the slowest.
    """
    ready = setup(**service)
    setting = ready.setting | {"share": share, "connections": connections, "depth": depth}
    begun = record.begin("load", "deltas", role, setting)
    with serving(ready.cores, ready.place, **ready.settings) as running:
        turns = cells(running)
        find_capacities(turns, connections, depth, calibration)
        rate = min(turn.capacity for turn in turns) * share
        measure(turns, [rate] * len(turns), duration / rounds, rounds, connections)
    made = to_records(turns, begun, command_line())
    click.echo(table(made))
    keep_all(made, results)


def cells(service: Service) -> list[Turn]:
    """What is measured."""
    tenant = service.tenant("a")
    classical, hybrid = SUITES["classical"].sign, SUITES["hybrid"].sign
    turns = [
        Turn("delta-sign-classical", service, sign_requests(service, tenant, classical)),
        Turn("delta-sign-hybrid", service, sign_requests(service, tenant, hybrid)),
        Turn("delta-verify-classical", service, verify_requests(service, tenant, classical)),
        Turn("delta-verify-or", service, verify_requests(service, tenant, hybrid, name=f"verify {hybrid}, or")),
        Turn(
            "delta-verify-and",
            service,
            verify_requests(service, tenant, hybrid, mode="and", name=f"verify {hybrid}, and"),
        ),
    ]
    for turn in turns:
        turn.payload = service.payload(turn.requests[0])
    return turns


def table(made: Sequence[record.Record]) -> str:
    """Differences of the rounds; the profile's own beside them."""
    by_name = {one.name: one for one in made}
    setting = " ".join(f"{name}={value}" for name, value in made[0].setting.items())
    rate = statistics.median(median(one, "rate") for one in made)
    lines = [
        f"{setting}; {rate:,.0f} a second of each, in turns; load {made[0].host.load:g} before",
        f"{'':24} {'p50 ms':>8} {'p95':>8} {'p99':>8} {'cpu us':>8} {'bytes':>7} {'capacity':>9}",
    ]
    for one in made:
        of = _of(one)
        p50, p95, p99 = (median(one, kind, of) for kind in ("p50", "p95", "p99"))
        lines.append(
            f"{one.name:24} {p50:8.2f} {p95:8.2f} {p99:8.2f} {median(one, 'cpu'):8.1f}"
            f" {median(one, 'payload', of):7,.0f} {one.detail['target']:9,.0f}"
        )
    lines += ["", f"{'hybrid over classical':24} {'p95 ms':>8} {'profile':>8} {'KiB':>8} {'profile':>8} {'cpu us':>8}"]
    for delta in DELTAS:
        hybrid, classical = by_name[delta.hybrid], by_name[delta.classical]
        kib = (median(hybrid, "payload", _of(hybrid)) - median(classical, "payload", _of(classical))) / 1024
        lines.append(
            f"{delta.name:24} {difference(hybrid, classical):+8.2f} {delta.given:+8.2f} {kib:+8.2f} {GIVEN_KIB:+8.2f}"
            f" {median(hybrid, 'cpu') - median(classical, 'cpu'):+8.1f}"
        )
    return "\n".join(lines)


def difference(hybrid: record.Record, classical: record.Record) -> float:
    """Milliseconds of p95, median of the rounds' differences."""
    one, other = (_rounds(made, "p95") for made in (hybrid, classical))
    return statistics.median(more - less for more, less in zip(one, other, strict=True))


def _rounds(made: record.Record, kind: str) -> tuple[float, ...]:
    return next(one.rounds for one in made.measures if (one.kind, one.of) == (kind, _of(made)))


def _of(made: record.Record) -> str:
    return next(one.of for one in made.measures if one.kind == "rate" and one.of)
