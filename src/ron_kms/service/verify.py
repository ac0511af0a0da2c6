"""verify and verify:batch: whether signatures hold, under what a key's version demands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from msgspec import UNSET, Meta, UnsetType

from ron_kms.crypto.signing import Verdict, VerifyKey, judge_batch
from ron_kms.errors import BadRequest, KmsError, Unsupported
from ron_kms.keys.directory import Entry
from ron_kms.model import Kid
from ron_kms.service.items import attempt, authorised, entry_of, look_up
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context, Operation
from ron_kms.service.schema import ITEMS_MAX, Answer, Digest, Failure, KidText, Message, Request, TrackSignature
from ron_kms.service.sign import signed_message

_SIGS_MAX = 8

Sigs = Annotated[list[TrackSignature], Meta(max_length=_SIGS_MAX, description="One a track, in any order.")]
Reason = Literal["bad_signature", "missing_track"]


class VerifyRequest(Request):
    """``kid`` names its version. Exactly one of ``digest`` and ``message``, as it was signed."""

    kid: KidText
    sigs: Sigs
    digest: Digest | UnsetType = UNSET
    message: Message | UnsetType = UNSET


class VerifyItem(Request):
    """As a single request; ``kid`` may be left out where the batch has one."""

    sigs: Sigs
    kid: KidText | UnsetType = UNSET
    digest: Digest | UnsetType = UNSET
    message: Message | UnsetType = UNSET


class VerifyBatchRequest(Request):
    """An item's ``kid`` goes before the batch's."""

    items: Annotated[list[VerifyItem], Meta(max_length=ITEMS_MAX)]
    kid: KidText | UnsetType = UNSET


class VerifyDetails(Answer):
    """Track by track.

    ``satisfied_mode`` is the strictest mode that the valid tracks satisfy: ``and`` (every track, the post-quantum one
    among them), ``pq_only`` (the post-quantum one), ``or`` (any); absent where none is valid.
    """

    checked: list[str]
    failed: list[str]
    satisfied_mode: Literal["or", "and", "pq_only"] | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET


class VerifyAnswer(Answer):
    """``cache_age_ms`` is there where the key came from the cache: how long ago it was read from the store."""

    ok: bool
    details: VerifyDetails
    cache_age_ms: int | None = None


class VerifyResult(Answer):
    """One item's answer, or its ``error``."""

    ok: bool | UnsetType = UNSET
    details: VerifyDetails | UnsetType = UNSET
    cache_age_ms: int | None = None
    error: Failure | UnsetType = UNSET


class VerifyBatchAnswer(Answer):
    """One result an item, in order."""

    items: list[VerifyResult]


class _Job(NamedTuple):
    entry: Entry
    key: VerifyKey
    message: bytes
    sigs: list[TrackSignature]
    age_ms: int | None


async def verify(kms: Kms, context: Context, request: VerifyRequest) -> VerifyAnswer:
    """:raises NotFound, BadRequest, Unsupported: as it concerns this key. A bad signature is no error."""
    item = VerifyItem(kid=request.kid, sigs=request.sigs, digest=request.digest, message=request.message)
    [result] = await _verify(kms, context, "verify", [item])
    if isinstance(result, KmsError):
        raise result
    return result


async def verify_batch(kms: Kms, context: Context, request: VerifyBatchRequest) -> VerifyBatchAnswer:
    """Each item is answered by itself."""
    results = await _verify(kms, context, "verify:batch", request.items, request.kid)
    return VerifyBatchAnswer(
        items=[
            VerifyResult(error=Failure.of(result))
            if isinstance(result, KmsError)
            else VerifyResult(ok=result.ok, details=result.details, cache_age_ms=result.cache_age_ms)
            for result in results
        ]
    )


async def _verify(
    kms: Kms, context: Context, op: str, items: list[VerifyItem], kid: str | UnsetType = UNSET
) -> list[VerifyAnswer | KmsError]:
    kids = [attempt(lambda item: _versioned(authorised(context.caller, item.kid, kid)), item) for item in items]
    known = {kid for kid in kids if isinstance(kid, Kid) and kms.directory.cached(kid) is not None}
    entries = await look_up(kms, kids)
    jobs = [attempt(lambda pair: _job(*pair, entries, known), pair) for pair in zip(items, kids, strict=True)]
    ready = [job for job in jobs if isinstance(job, _Job)]
    judged = iter(
        await kms.queue.run(sum(kms.costs[job.entry.suite.name].public for job in ready), lambda: _run(ready))
    )
    results = [job if isinstance(job, KmsError) else next(judged) for job in jobs]
    _count(kms, context, op, jobs, results)
    return results


def _versioned(kid: Kid) -> Kid:
    if kid.version is None:
        raise BadRequest("verify needs the kid with its version, as sign has answered it")
    return kid


def _job(item: VerifyItem, kid: Kid | KmsError, entries: Mapping[Kid, Entry | KmsError], known: set[Kid]) -> _Job:
    entry = entry_of(kid, entries)
    if entry.verify_key is None:
        raise Unsupported(f"this key is for use '{entry.key.use}' and has no signatures")
    message = signed_message(entry, item.digest, item.message)
    return _Job(entry, entry.verify_key, message, item.sigs, entry.age_ms if entry.kid in known else None)


def _run(jobs: list[_Job]) -> list[VerifyAnswer]:
    verdicts = judge_batch([(job.key, job.message, [(sig.alg, sig.signature) for sig in job.sigs]) for job in jobs])
    return [_answer(job, verdict) for job, verdict in zip(jobs, verdicts, strict=True)]


def _answer(job: _Job, verdict: Verdict) -> VerifyAnswer:
    ok = verdict.satisfies("or")
    details = VerifyDetails(
        checked=list(verdict.checked),
        failed=list(verdict.failed),
        satisfied_mode=_strictest(verdict),
        reason=UNSET if ok else "bad_signature" if verdict.checked else "missing_track",
    )
    return VerifyAnswer(ok=ok, details=details, cache_age_ms=job.age_ms)


def _strictest(verdict: Verdict) -> Literal["or", "and", "pq_only"] | UnsetType:
    post_quantum = verdict.satisfies("pq_only")
    if post_quantum and verdict.satisfies("and"):
        return "and"
    if post_quantum:
        return "pq_only"
    return "or" if verdict.satisfies("or") else UNSET


def _count(
    kms: Kms, context: Context, op: str, jobs: list[_Job | KmsError], results: list[VerifyAnswer | KmsError]
) -> None:
    outcomes: Counter[tuple[str, str]] = Counter()
    for job, result in zip(jobs, results, strict=True):
        alg = "" if isinstance(job, KmsError) else job.entry.suite.name
        if isinstance(result, KmsError):
            outcomes[alg, result.code] += 1
        elif result.details.reason is UNSET:
            outcomes[alg, "ok"] += 1
        else:
            outcomes[alg, result.details.reason] += 1
            kms.metrics.reject(result.details.reason)
    for (alg, outcome), count in outcomes.items():
        kms.metrics.done(op, alg, outcome, count)
        context.alg = alg


OPERATIONS = (
    Operation(
        name="verify",
        method="POST",
        path="/v1/kms/verify",
        scope="kms:verify",
        request=VerifyRequest,
        response=VerifyAnswer,
        act=verify,
        help="Check signatures over a digest or a message. The answer is always 200; `ok` tells whether they hold.",
    ),
    Operation(
        name="verify:batch",
        method="POST",
        path="/v1/kms/verify:batch",
        scope="kms:verify",
        request=VerifyBatchRequest,
        response=VerifyBatchAnswer,
        act=verify_batch,
        help="Check up to 1,024 items under one or many keys, each by itself, in order.",
    ),
)
