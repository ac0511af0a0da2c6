"""``python -m perf.load latency``: each operation at 70 % of what the service can do of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from perf import record
from perf.load.commands.options import command_line, keep_all, records_options, service_options, setup, turn_options
from perf.load.figures import median
from perf.load.scenarios import sign_requests, unwrap_requests, verify_requests, wrap_requests
from perf.load.service import Service, serving
from perf.load.targets import REFERENCES, ours
from perf.load.turns import Turn, find_capacities, measure, to_records

MISSING_KEYS = 64
"""So many keys beside a cache of one entry: hardly a look-up hits."""

HEAD = (
    f"{'':21} {'p50':>5} {'':>7} {'p95':>6} {'':>7} {'p99':>6} {'':>7} {'a second':>9} {'capacity':>8} {'':>8}"
    f"  {'limit':>5} {'':6} {'ours':>6} {'':6}  {'hits':>4} {'generator':>9}"
)


@click.command()
@turn_options
@service_options
@records_options
def latency(
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
    """p50, p95 and p99 of sign (Ed25519, ML-DSA-65), verify (key cached or not), wrap and unwrap (ML-KEM-768), each at
    a share of what a closed loop reaches, in turns; what is asked for beside it.

    Keys are not cached in a second service with KMS_VERIFY_CACHE_MAX=1 on the same core, which rests meanwhile.
    """
    ready = setup(**service)
    setting = ready.setting | {"share": share, "connections": connections, "depth": depth}
    begun = record.begin("load", "latency", role, setting)
    with (
        serving(ready.cores, ready.place, **ready.settings) as running,
        serving(ready.cores, ready.place, **ready.settings, verify_cache_max="1") as forgetful,
    ):
        turns = cells(running, forgetful)
        find_capacities(turns, connections, depth, calibration)
        measure(turns, [turn.capacity * share for turn in turns], duration / rounds, rounds, connections)
    made = to_records(turns, begun, command_line())
    click.echo(table(turns, made))
    keep_all(made, results)


def cells(running: Service, forgetful: Service) -> list[Turn]:
    """What is measured.

    :param forgetful: keeps one public key.
    """
    tenant, other = running.tenant("a"), forgetful.tenant("a")
    miss = verify_requests(forgetful, other, "ed25519", keys=MISSING_KEYS, name="verify ed25519, miss")
    return [
        Turn("latency-sign-ed25519", running, sign_requests(running, tenant, "ed25519")),
        Turn("latency-verify-hit", running, verify_requests(running, tenant, "ed25519")),
        Turn("latency-verify-miss", forgetful, miss),
        Turn("latency-sign-ml-dsa-65", running, sign_requests(running, tenant, "ml-dsa-65")),
        Turn("latency-wrap", running, wrap_requests(running, tenant, "ml-kem-768")),
        Turn("latency-unwrap", running, unwrap_requests(running, tenant, "ml-kem-768")),
    ]


def table(turns: Sequence[Turn], made: Sequence[record.Record]) -> str:
    """Ours beside what is asked for and beside the reference figures."""
    first = made[0]
    setting = " ".join(f"{name}={value}" for name, value in first.setting.items())
    rounds = len(turns[0].rounds)
    lines = [
        f"{setting}; {rounds} rounds in turns, {first.seconds:g} s each; load {first.host.load:g} before",
        f"floor {median(first, 'floor'):.1f} us, sync {median(first, 'sync'):.3f} ms",
        "milliseconds; in brackets the reference baselines of the profile; capacity: one worker on one core",
        "",
        HEAD,
    ]
    for turn, one in zip(turns, made, strict=True):
        reference = REFERENCES[turn.of]
        p50, p95, p99 = (median(one, kind, turn.of) for kind in ("p50", "p95", "p99"))
        own = ours(turn.of, str(one.setting["server"]), str(one.setting["audit"]), median(one, "sync"))
        lines.append(
            f"{turn.of:21} {p50:5.2f} {_given(reference.p50):>7} {p95:6.2f} {_given(reference.p95):>7}"
            f" {p99:6.2f} {_given(reference.p99):>7} {median(one, 'rate'):9,.0f} {turn.capacity:8,.0f}"
            f" {_given(reference.rate):>8}  {reference.limit:5.2f} {_word(p95, reference.limit):6}"
            f" {own:6.2f} {_word(p95, own):6}  {_hits(turn):>4} {max(one.detail['busy']):9.0%}"
        )
    return "\n".join(lines)


def _given(value: float) -> str:
    return f"({value:,})" if value else ""


def _word(value: float, limit: float) -> str:
    return "met" if value <= limit else "missed"


def _hits(turn: Turn) -> str:
    """Share of look-ups that the cache answered."""
    hits, misses = (
        sum(one.gained.get(f"verify_cache_{kind}_total", 0.0) for one in turn.rounds) for kind in ("hit", "miss")
    )
    return f"{hits / (hits + misses):.0%}" if hits + misses else ""
