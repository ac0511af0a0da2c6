"""What a fleet needs for so many operations a second, computed from a fitted model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from perf.load.mixes import SUITES
from perf.scale.model import Model

BUSY = 0.6
"""The part of a core that is planned for: what is above is for bursts, and for nodes that are gone."""
CORES = 8
"""Of a node."""
TENANTS = 1_000
DAY = 86_400
RATES = (10_000, 100_000, 1_000_000)
BATCHES = (1, 16, 256)
STEADY = (("sign", 0.7), ("verify", 0.2), ("wrap", 0.1))


class Asked(NamedTuple):
    """
    :ivar ops: operations a second.
    :ivar operation: ``sign``, ``verify``, ``wrap``, or ``steady``: 70 % of the first, 20 and 10 % of the others.
    :ivar suite: of the keys; of ``steady`` that of the signatures, and the data keys are wrapped with what fits it.
    :ivar items: operations in a request.
    :ivar cores: of a node, a worker each.
    :ivar busy: the part of a core that is planned for.
    :ivar tenants: that are active on a node.
    """

    ops: float
    operation: str = "steady"
    suite: str = "ed25519"
    items: int = 1
    cores: int = CORES
    busy: float = BUSY
    tenants: int = TENANTS


class Plan(NamedTuple):
    """
    :ivar cost: microseconds of processor time an operation.
    :ivar cores: that are needed; ``nodes``: that have so many.
    :ivar memory: MiB of a node.
    :ivar network: bytes a second, requests and answers, without what HTTP/2 and TLS add.
    :ivar records: of the audit logs a second; ``disk``: bytes a second that they take for good.
    """

    cost: float
    cores: float
    nodes: int
    memory: float
    network: float
    records: float
    disk: float


def plan(model: Model, asked: Asked) -> Plan:
    """:raises LookupError: the model does not know this."""
    parts = _parts(asked)
    cost = sum(share * model.cost(operation, suite, asked.items) for operation, suite, share in parts)
    cost += model.two.request / asked.items + model.two.item
    payload = sum(share * model.payload[f"{operation} {suite}"].at(asked.items) for operation, suite, share in parts)
    cores = asked.ops * cost / 1e6 / asked.busy
    records = asked.ops / asked.items
    of = model.memory
    return Plan(
        cost=cost,
        cores=cores,
        nodes=math.ceil(cores / asked.cores),
        memory=of.supervisor + asked.cores * (of.worker + asked.tenants * of.tenant),
        network=asked.ops * payload,
        records=records,
        disk=records * model.record,
    )


def _parts(asked: Asked) -> list[tuple[str, str, float]]:
    """Operation, suite, share."""
    if asked.operation != "steady":
        return [(asked.operation, asked.suite, 1.0)]
    wrap = {one.sign: one.wrap for one in SUITES.values()}.get(asked.suite, asked.suite)
    return [(operation, wrap if operation == "wrap" else asked.suite, share) for operation, share in STEADY]


def describe(model: Model, asked: Asked) -> Iterator[str]:
    """A plan in words."""
    found = plan(model, asked)
    rate = "" if asked.items == 1 else f", {asked.ops / asked.items:,.0f} requests a second"
    yield (
        f"{asked.ops:,.0f} operations a second: {asked.operation}, {asked.suite}, {asked.items} a request{rate};"
        f" {model.server}, records durable"
    )
    yield f"cost      {found.cost:,.1f} us of processor time each; the model is {model.median:.0%} off in the median"
    yield f"cores     {found.cores:,.1f} that are {asked.busy:.0%} busy"
    yield f"nodes     {found.nodes:,} of {asked.cores} cores, a worker a core, each with a store of its own"
    yield f"memory    {found.memory:,.0f} MiB a node, {found.memory * found.nodes / 1024:,.1f} GiB in all"
    yield f"network   {found.network / 1e6:,.1f} MB/s of bodies"
    yield f"audit     {found.records:,.0f} records a second, {model.record:,.0f} bytes each: {_disk(found.disk)}"


def _disk(rate: float) -> str:
    return f"{rate / 1e6:,.2f} MB/s, {rate * DAY / 1e9:,.0f} GB a day, {rate * DAY * 365 / 1e12:,.1f} TB a year"


def table(models: Sequence[Model]) -> Iterator[str]:
    """Markdown: plans of the usual sizes."""
    for model in models:
        yield f"{model.server.capitalize()}, {BUSY:.0%} busy, nodes of {CORES} cores, {TENANTS:,} active tenants each:"
        yield ""
        yield "| operations a second | suites | a request | µs each | cores | nodes | GiB | audit MB/s | GB a day |"
        yield "|---|---|---|---|---|---|---|---|---|"
        for ops in RATES:
            for name in ("classical", "hybrid"):
                for items in BATCHES:
                    asked = Asked(ops, suite=SUITES[name].sign, items=items)
                    found = plan(model, asked)
                    yield (
                        f"| {ops:,} | {name} | {items} | {found.cost:.1f} | {math.ceil(found.cores):,} |"
                        f" {found.nodes:,} | {found.memory * found.nodes / 1024:,.1f} | {found.disk / 1e6:,.2f} |"
                        f" {found.disk * DAY / 1e9:,.0f} |"
                    )
        yield ""


def fitted(models: Sequence[Model]) -> Iterator[str]:
    """Markdown: what the models say an operation costs, and how far that is from what was measured."""
    yield "| | " + " | ".join(model.server for model in models) + " |"
    yield "|---" * (len(models) + 1) + "|"
    for operation in models[0].base:
        yield _row(f"{operation}: a request, µs", [f"{model.base[operation]:.1f}" for model in models])
        yield _row(f"{operation}: an item, µs", [f"{model.item[operation]:.2f}" for model in models])
    yield _row("a KiB of request and answer, µs", [f"{model.kib:.2f}" for model in models])
    for of in models[0].core:
        yield _row(f"core: {of}, µs", [f"{model.core[of]:.1f}" for model in models])
    yield _row("with two workers more than with one: a request, µs", [f"{model.two.request:.1f}" for model in models])
    yield _row("the same: an item, µs", [f"{model.two.item:.2f}" for model in models])
    yield _row("supervisor, MiB", [f"{model.memory.supervisor:.0f}" for model in models])
    yield _row("a worker under load, MiB", [f"{model.memory.worker:.0f}" for model in models])
    yield _row("an active tenant in a worker, KiB", [f"{model.memory.tenant * 1024:.1f}" for model in models])
    yield _row("a record of the audit log, bytes", [f"{model.record:.0f}" for model in models])
    yield _row("off in the median", [f"{model.median:.1%}" for model in models])
    yield _row("off at most", [f"{model.worst:+.0%} ({model.worst_of})" for model in models])


def _row(name: str, values: Sequence[str]) -> str:
    return f"| {name} | " + " | ".join(values) + " |"
