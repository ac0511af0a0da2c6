"""plan: what one step on the way to post-quantum would change for a tenant. It changes nothing."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from ron_kms.crypto.signing import Mode
from ron_kms.crypto.suites import SUITES
from ron_kms.errors import BadRequest
from ron_kms.model import Kid, Policy, Use
from ron_kms.policy.pq import AND, MODES, Reason, next_step, phase_of, suite_for, within
from ron_kms.policy.recent import Recent
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context, Operation
from ron_kms.service.policy import current, keys_of, require_tenant
from ron_kms.service.schema import Answer, KidText, Name, Request
from ron_kms.store.standing import Standing

RECENT_MAX = 1000

StepPercent = Annotated[
    int,
    Meta(ge=1, le=100, description="Share of the keys that the phase of the step is to hold for.", examples=[100]),
]


class PlanRequest(Request):
    """One step: to this share of the phase in force where that is less so far, else to this share of the next."""

    tenant: Name
    rollout_percent: StepPercent = 100
    after: Annotated[KidText, Meta(description="The `next` of the page before.")] | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=1000, description="Changed keys a page, 100 where it is left out.")] = 100


class Stage(Answer):
    """Where a tenant is, or would be."""

    phase: int
    mode: Mode
    rollout_percent: int


class SuiteCount(Answer):
    """Keys whose newest version has this suite and for which this phase holds now."""

    use: Use
    suite: str
    phase: int
    keys: int


class PlannedKey(Answer):
    """A key that the step concerns.

    ``becomes`` is the suite that it is to be rotated to. ``refused`` are its versions whose signatures verify would
    refuse from then on, for they have no post-quantum track: what they signed has to be signed anew.
    """

    kid: str
    suite: str
    becomes: str | UnsetType = UNSET
    refused: list[str] | UnsetType = UNSET


class Seen(Answer):
    """A version whose signatures were accepted since the start, and would be refused: why, how many, the last when."""

    kid: str
    reason: Reason
    count: int
    last: datetime


class PlanSummary(Answer):
    """The whole tenant.

    ``rotates`` counts keys that are to be rotated, ``refuses`` versions whose signatures would be refused. ``seen`` has
    those that were verified ``since``, the most often first; ``seen_lost`` counts versions that are not listed, for
    what is remembered is bounded.
    """

    keys: int
    suites: list[SuiteCount]
    rotates: int
    refuses: int
    seen: list[Seen]
    seen_lost: int
    since: datetime


class PlanAnswer(Answer):
    """A step from ``now`` to ``step``, which is the same where there is none left. Pages after the first have no
    ``summary``."""

    tenant: str
    now: Stage
    step: Stage
    changes: list[PlannedKey]
    summary: PlanSummary | UnsetType = UNSET
    next: str | UnsetType = UNSET


async def plan(kms: Kms, context: Context, request: PlanRequest) -> PlanAnswer:
    """:raises NoCapability: the caller's token does not cover the whole tenant."""
    require_tenant(context, request.tenant)
    after = None if request.after is UNSET else Kid.parse(request.after)
    if after is not None and after.tenant != request.tenant:
        raise BadRequest("the page begins outside the tenant")
    now: Policy = await kms.wait(kms.database.read(lambda connection: current(kms, connection, request.tenant)))
    phase, percent = next_step(now, request.rollout_percent)
    step = Policy(phase, percent)
    found: list[PlannedKey] = []
    more = False
    tally = _Tally(now, step)
    async for key in keys_of(kms, request.tenant, after):
        changed = effect(key, now, step)
        tally.add(key, changed)
        if changed is None:
            continue
        if len(found) == request.limit:
            more = True
            if after is not None:
                break
        else:
            found.append(changed)
    return PlanAnswer(
        tenant=request.tenant,
        now=_stage(now),
        step=_stage(step),
        changes=found,
        summary=await tally.summary(kms, request.tenant) if after is None else UNSET,
        next=found[-1].kid.partition("#")[0] if more else UNSET,
    )


def effect(key: Standing, now: Policy, step: Policy) -> PlannedKey | None:
    """What a step does to one key; None where that is nothing."""
    uuid = key.kid.uuid
    becomes: str | UnsetType = UNSET
    if not key.still and within(step.rollout_percent, uuid):
        suite = suite_for(step.phase, key.use, SUITES[key.suite])
        becomes = suite.name if suite.name != key.suite else UNSET
    refused = phase_of(now, uuid) < AND <= phase_of(step, uuid) and bool(key.among)
    if becomes is UNSET and not refused:
        return None
    return PlannedKey(
        kid=str(key.kid.at(key.newest)),
        suite=key.suite,
        becomes=becomes,
        refused=[str(key.kid.at(number)) for number in key.among] if refused else UNSET,
    )


class _Tally:
    def __init__(self, now: Policy, step: Policy) -> None:
        self._now = now
        self._step = step
        self._suites: Counter[tuple[Use, str, int]] = Counter()
        self._rotates = 0
        self._refuses = 0

    def add(self, key: Standing, changed: PlannedKey | None) -> None:
        self._suites[key.use, key.suite, phase_of(self._now, key.kid.uuid)] += 1
        if changed is not None:
            self._rotates += changed.becomes is not UNSET
            self._refuses += 0 if changed.refused is UNSET else len(changed.refused)

    async def summary(self, kms: Kms, tenant: str) -> PlanSummary:
        recent: Recent = await kms.wait(kms.database.read(lambda _: kms.recent.everywhere()))  # files, off the loop
        seen = []
        for sighting in recent.sightings:
            kid = Kid.parse(sighting.kid)
            concerned = phase_of(self._now, kid.uuid) < sighting.phase == phase_of(self._step, kid.uuid)
            if kid.tenant == tenant and concerned:
                last = datetime.fromtimestamp(sighting.last, UTC)
                seen.append(Seen(kid=sighting.kid, reason=sighting.reason, count=sighting.count, last=last))
        return PlanSummary(
            keys=self._suites.total(),
            suites=[
                SuiteCount(use=use, suite=suite, phase=phase, keys=count)
                for (use, suite, phase), count in sorted(self._suites.items())
            ],
            rotates=self._rotates,
            refuses=self._refuses,
            seen=seen[:RECENT_MAX],
            seen_lost=recent.lost + max(0, len(seen) - RECENT_MAX),
            since=datetime.fromtimestamp(recent.since, UTC),
        )


def _stage(policy: Policy) -> Stage:
    return Stage(phase=policy.phase, mode=MODES[policy.phase], rollout_percent=policy.rollout_percent)


OPERATIONS = (
    Operation(
        name="plan-policy",
        method="GET",
        path="/v1/kms/policy/{tenant}/plan",
        scope="kms:policy",
        request=PlanRequest,
        response=PlanAnswer,
        act=plan,
        help="What one step of the tenant's post-quantum policy would change. It names the keys to be rotated and the"
        " versions whose signatures would be refused, and changes nothing.",
    ),
)
