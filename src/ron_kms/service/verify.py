"""verify and verify:batch: whether signatures hold, under what a key's version demands."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal, NamedTuple

from msgspec import UNSET, Meta, UnsetType

from ron_kms.crypto.signing import Mode, Verdict, VerifyKey, judge_batch
from ron_kms.errors import BadRequest, Internal, KmsError
from ron_kms.keys.directory import Entry
from ron_kms.keys.life import VerifyRefusal, verify_refusal
from ron_kms.model import Kid, Policy
from ron_kms.policy.pq import broken_by, mode_of, refusal, rolls_back
from ron_kms.service.items import Verb
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context, Operation
from ron_kms.service.rollback import roll_back
from ron_kms.service.rules import require_use
from ron_kms.service.schema import (
    ITEMS_MAX,
    Answer,
    Digest,
    Failure,
    KidText,
    Message,
    PolicyAsked,
    Request,
    TrackSignature,
    asked,
    each,
)
from ron_kms.service.sign import digest_of, signed_message
from ron_kms.service.work import Work, value_of

_SIGS_MAX = 8

Sigs = Annotated[list[TrackSignature], Meta(max_length=_SIGS_MAX, description="One a track, in any order.")]
Reason = Literal["bad_signature", "missing_track", "pq_policy", "pq_stripped", "compromised", "below_minimum"]


class VerifyRequest(Request):
    """``kid`` names its version. Exactly one of ``digest`` and ``message``, as it was signed."""

    kid: KidText
    sigs: Sigs
    digest: Digest | UnsetType = UNSET
    message: Message | UnsetType = UNSET
    policy: PolicyAsked | UnsetType = UNSET


class VerifyItem(Request):
    """As a single request; ``kid`` may be left out where the batch has one."""

    sigs: Sigs
    kid: KidText | UnsetType = UNSET
    digest: Digest | UnsetType = UNSET
    message: Message | UnsetType = UNSET
    policy: PolicyAsked | UnsetType = UNSET


class VerifyBatchRequest(Request):
    """An item's ``kid`` goes before the batch's."""

    items: Annotated[list[VerifyItem], Meta(max_length=ITEMS_MAX)]
    kid: KidText | UnsetType = UNSET


class VerifyDetails(Answer):
    """Track by track.

    ``satisfied_mode`` is the strictest mode that the valid tracks satisfy: ``and`` (every track, the post-quantum one
    among them), ``pq_only`` (the post-quantum one), ``or`` (any); absent where none is valid. ``reason`` says why the
    signatures are refused: ``bad_signature``, ``missing_track`` (none by a track of this version), ``pq_stripped`` (a
    track that must be there was taken off), ``pq_policy`` (valid, but policy demands a post-quantum track and this
    version has none).
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


class _Claim(NamedTuple):
    """What a signature is said to be; ``refusal`` where its version verifies nothing any more."""

    key: VerifyKey
    message: bytes
    sigs: list[TrackSignature]
    refusal: VerifyRefusal | None


class _Judged(NamedTuple):
    answer: VerifyAnswer
    verdict: Verdict | None


async def verify(kms: Kms, context: Context, request: VerifyRequest) -> VerifyAnswer:
    """:raises NotFound, BadRequest, Unsupported: as it concerns this key. A bad signature is no error.
    :raises PolicyRefused: a looser mode is asked for than the tenant's policy demands.
    """
    works = await VERIFY.works(kms, context, "verify", (request,))
    await _follow_up(kms, works)
    judged: _Judged = value_of(works[0])
    return judged.answer


async def verify_batch(kms: Kms, context: Context, request: VerifyBatchRequest) -> VerifyBatchAnswer:
    """Each item is answered by itself."""
    works = await VERIFY.works(kms, context, "verify:batch", request.items, request.kid)
    await _follow_up(kms, works)
    answers = [work.result.answer if isinstance(work.result, _Judged) else work.result for work in works]
    return VerifyBatchAnswer(items=each(VerifyResult, answers))


def _versioned(_: VerifyRequest | VerifyItem, kid: Kid) -> Kid:
    if kid.version is None:
        raise BadRequest("verify needs the kid with its version, as sign has answered it")
    return kid


def _admit(entry: Entry) -> None:
    require_use(entry, "sign")


def _prepare(item: VerifyRequest | VerifyItem, entry: Entry) -> _Claim:
    if entry.verify_key is None:
        raise Internal("a signing key without its public half")
    return _Claim(
        entry.verify_key,
        signed_message(entry, item.digest, item.message),
        item.sigs,
        verify_refusal(entry.key.min_verify_version, entry.kid.version or 0, entry.state),
    )


def _size(claim: _Claim) -> int:
    return len(claim.message)


def _permit(item: VerifyRequest | VerifyItem, entry: Entry, policy: Policy) -> Mode:
    return mode_of(policy, entry.kid.uuid, asked(item.policy))


def _compute(works: list[Work[_Claim]]) -> list[_Judged]:
    claims = [work.prepared for work in works if work.prepared.refusal is None]
    verdicts = iter(
        judge_batch([(claim.key, claim.message, [(sig.alg, sig.signature) for sig in claim.sigs]) for claim in claims])
    )
    return [
        _answer(work, next(verdicts)) if work.prepared.refusal is None else _refused(work, work.prepared.refusal)
        for work in works
    ]


def _refused(work: Work[_Claim], reason: VerifyRefusal) -> _Judged:
    details = VerifyDetails(checked=[], failed=[], reason=reason)
    return _Judged(VerifyAnswer(ok=False, details=details, cache_age_ms=work.age_ms), None)


def _answer(work: Work[_Claim], verdict: Verdict) -> _Judged:
    reason, satisfied = _judgement(verdict, work.mode)
    details = VerifyDetails(
        checked=list(verdict.checked), failed=list(verdict.failed), satisfied_mode=satisfied, reason=reason
    )
    return _Judged(VerifyAnswer(ok=reason is UNSET, details=details, cache_age_ms=work.age_ms), verdict)


@lru_cache
def _judgement(verdict: Verdict, mode: Mode) -> tuple[Reason | UnsetType, Mode | UnsetType]:
    """Why it is refused, and the strictest mode that it satisfies. There are few verdicts."""
    reason = refusal(verdict, mode)
    return UNSET if reason is None else reason, _strictest(verdict)


def _strictest(verdict: Verdict) -> Mode | UnsetType:
    post_quantum = verdict.satisfies("pq_only")
    if post_quantum and verdict.satisfies("and"):
        return "and"
    if post_quantum:
        return "pq_only"
    return "or" if verdict.satisfies("or") else UNSET


async def _follow_up(kms: Kms, works: list[Work[_Claim]]) -> None:
    """Count what was refused and what a later phase would refuse; roll back a step that broke what it had not named."""
    weak: dict[tuple[str, Verdict], int] = {}
    for work in works:
        if isinstance(work.result, KmsError):
            continue
        answer, verdict = work.result
        if answer.details.reason is not UNSET:
            kms.metrics.reject(answer.details.reason)
        if verdict is None or answer.details.satisfied_mode == "and":
            continue
        entry, policy = work.entry, work.policy
        if answer.ok:
            name = entry.text, verdict
            weak[name] = weak.get(name, 0) + 1
        elif rolls_back(policy, entry.kid.uuid, refusal(verdict, mode_of(policy, entry.kid.uuid))):
            await roll_back(kms, policy, entry.kid)
    for (text, verdict), count in weak.items():
        for phase, reason in broken_by(verdict):
            kms.recent.note(text, phase, reason, count)


def _governed(_: VerifyRequest | VerifyItem) -> bool:
    return True


def _outcome(judged: _Judged) -> str:
    reason = judged.answer.details.reason
    return "ok" if reason is UNSET else reason


VERIFY = Verb(
    private=False,
    admit=_admit,
    prepare=_prepare,
    compute=_compute,
    size=_size,
    digest=digest_of,
    trails=True,
    kid=_versioned,
    governed=_governed,
    permit=_permit,
    outcome=_outcome,
)

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
