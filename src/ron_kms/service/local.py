"""``ron_kms.open``: the service's own verbs in this process, without a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import UNSET, UnsetType

from ron_kms.crypto.signing import Mode
from ron_kms.keys.life import Settable
from ron_kms.model import Kid, Use
from ron_kms.service import destroy as destroying
from ron_kms.service import update as updating
from ron_kms.service.create import CreateRequest, create
from ron_kms.service.due import JOBS
from ron_kms.service.plan import PlanAnswer, PlanRequest, plan
from ron_kms.service.policy import GetPolicyRequest, PolicyAnswer, PutPolicyRequest, get_policy, put_policy
from ron_kms.service.read import GetAnswer, ListAnswer, ListRequest, get, list_all
from ron_kms.service.rotate import RotateAnswer, RotateRequest, rotate
from ron_kms.service.schedule import Scheduler
from ron_kms.service.schema import KeyPath, TrackSignature, VersionPath, request_with
from ron_kms.service.seal import (
    OpenBatchRequest,
    OpenRequest,
    OpenResult,
    SealAnswer,
    SealBatchRequest,
    SealRequest,
    SealResult,
    open_many,
    open_one,
    seal,
    seal_many,
)
from ron_kms.service.session import Session, run
from ron_kms.service.sign import SignAnswer, SignBatchRequest, SignRequest, SignResult, sign, sign_batch
from ron_kms.service.unwrap import (
    UnwrapBatchRequest,
    UnwrapRequest,
    UnwrapResult,
    rewrap,
    rewrap_many,
    unwrap,
    unwrap_many,
)
from ron_kms.service.update import KeyAnswer, VersionAnswer
from ron_kms.service.verify import (
    VerifyAnswer,
    VerifyBatchRequest,
    VerifyRequest,
    VerifyResult,
    verify,
    verify_batch,
)
from ron_kms.service.wrap import WrapAnswer, WrapBatchRequest, WrapRequest, WrapResult, wrap, wrap_many

Sigs = Iterable[tuple[str, bytes] | TrackSignature]
"""Signatures, one a track: as an answer has them, or ``(alg, signature)``."""


class LocalKms(Session):
    """A store of keys and the verbs that work with them, as on the wire: same fields, same answers, same errors.

    May be used from several threads at once; every call blocks until it is done, with the GIL released while it signs,
    verifies or waits for the disk. Made by :func:`ron_kms.open`.
    """

    def create(
        self,
        *,
        tenant: str,
        purpose: str,
        use: Use = "sign",
        suite: str | None = None,
        labels: Mapping[str, str] | None = None,
        policy_hints: Mapping[str, str] | None = None,
        raw_messages: bool = False,
        op_id: str | None = None,
    ) -> str:
        """Make a key and return the kid of its first version; :meth:`get` has its public keys.

        :param suite: such as ``ed25519``, ``ml-dsa-65`` or ``hybrid``; by default the hybrid one, to seal XChaCha20.
        :param raw_messages: whether it signs messages themselves, not only digests.
        :param op_id: a UUID; repeating the call with it within 7 days makes no second key.
        :raises BadRequest: a name is malformed.
        :raises Unsupported: there is no such suite for this use.
        """
        return self._ask(
            create,
            CreateRequest,
            tenant=tenant,
            purpose=purpose,
            use=use,
            suite=suite,
            labels=labels,
            policy_hints=policy_hints,
            raw_messages=raw_messages,
            op_id=op_id,
        ).kid

    def get(self, kid: str) -> GetAnswer:
        """A key with the public keys and states of all its versions.

        :raises NotFound: there is no such key.
        """
        return self._ask(get, KeyPath, **_path(Kid.parse(kid).at(None)))

    def list_keys(self, prefix: str = "", *, after: str | None = None, limit: int = 100) -> ListAnswer:
        """Up to ``limit`` keys under a prefix of whole segments, beginning after a kid."""
        return self._ask(list_all, ListRequest, prefix=prefix, after=after, limit=limit)

    def rotate(self, kid: str, *, suite: str | None = None, op_id: str | None = None) -> RotateAnswer:
        """Make the next version of a key; those before it go on verifying and opening.

        :param suite: another suite, at least as strong; by default that of the newest version.
        :param op_id: a UUID; repeating the call with it within 7 days makes no second version.
        :raises Conflict: another rotation was first.
        :raises KeyDisabled: the key is destroyed or going to be.
        :raises PolicyRefused: the suite would be weaker.
        """
        return self._ask(rotate, RotateRequest, kid=kid, suite=suite, op_id=op_id)

    def update(
        self,
        kid: str,
        *,
        if_match: str = "*",
        min_verify_version: int | UnsetType = UNSET,
        min_open_version: int | UnsetType = UNSET,
        deletion_protection: bool | UnsetType = UNSET,
        rotation_period: int | UnsetType | None = UNSET,
        labels: Mapping[str, str] | UnsetType = UNSET,
        policy_hints: Mapping[str, str] | UnsetType = UNSET,
    ) -> KeyAnswer:
        """Change the settings of a key that are given.

        :param if_match: the ``etag`` that it must still have; any by default.
        :param rotation_period: seconds from one version to the next; None to stop.
        :raises PreconditionFailed: it has another.
        :raises Conflict: a minimum version would be lowered or lies above the newest.
        """
        fields = {
            **_path(Kid.parse(kid).at(None)),
            "min_verify_version": min_verify_version,
            "min_open_version": min_open_version,
            "deletion_protection": deletion_protection,
            "rotation_period": rotation_period,
            "labels": labels,
            "policy_hints": policy_hints,
        }
        return self._answer(updating.update_key, request_with(updating.UpdateKeyRequest, fields), if_match)

    def set_state(self, kid: str, state: Settable, *, if_match: str = "*") -> VersionAnswer:
        """Enable or disable the version that ``kid`` names, or mark it as compromised, which is final.

        :param if_match: the ``etag`` that the key must still have; any by default.
        :raises PreconditionFailed: it has another.
        :raises Conflict: the state does not follow the present one.
        """
        path = _path(Kid.parse(kid))
        return self._ask(updating.update_version, updating.UpdateVersionRequest, if_match=if_match, **path, state=state)

    def destroy(
        self, kid: str, *, window_seconds: int | None = None, op_id: str | None = None
    ) -> KeyAnswer | VersionAnswer:
        """Have the version that ``kid`` names, or without one the whole key, destroyed after a window.

        :param window_seconds: 30 days by default, and 7 days at least.
        :param op_id: a UUID; repeating the call with it within 7 days gives the first answer again.
        :raises Conflict: it is protected, destroyed or going to be.
        """
        name = Kid.parse(kid)
        fields = {**_path(name), "window_seconds": window_seconds, "op_id": op_id}
        if name.version is None:
            return self._ask(destroying.destroy_key, destroying.DestroyKeyRequest, **fields)
        return self._ask(destroying.destroy_version, destroying.DestroyVersionRequest, **fields)

    def restore(self, kid: str) -> KeyAnswer | VersionAnswer:
        """Take the destruction of a version or of a whole key back.

        :raises Conflict: it is not pending destruction, or it is too late.
        """
        name = Kid.parse(kid)
        if name.version is None:
            return self._ask(destroying.restore_key, KeyPath, **_path(name))
        return self._ask(destroying.restore_version, VersionPath, **_path(name))

    def sign(
        self, kid: str, *, digest: bytes | None = None, message: bytes | None = None, op_id: str | None = None
    ) -> SignAnswer:
        """Sign exactly one of a BLAKE3-256 digest (32 bytes) and a message, with the key's newest version.

        :param op_id: a UUID that the audit log names the operation by.
        :raises NotFound: there is no such key.
        :raises KeyDisabled, Conflict: the version may not sign.
        :raises BadRequest, Unsupported: not what this key signs.
        """
        return self._ask(sign, SignRequest, kid=kid, digest=digest, message=message, op_id=op_id)

    def sign_batch(self, items: Sequence[Mapping[str, Any]], *, kid: str | None = None) -> list[SignResult]:
        """Sign up to 1,024 items, each of which succeeds or fails by itself.

        :param items: the fields of :meth:`sign`, such as ``{"digest": ...}``; an item's kid goes before ``kid``.
        """
        return self._ask(sign_batch, SignBatchRequest, items=items, kid=kid).items

    def verify(
        self,
        kid: str,
        sigs: Sigs,
        *,
        digest: bytes | None = None,
        message: bytes | None = None,
        mode: Mode | None = None,
    ) -> VerifyAnswer:
        """Check signatures under the version that ``kid`` names. A bad one is an answer, not an error.

        :param mode: at least as strict as the tenant's policy, which holds by default.
        :raises NotFound: there is no such key.
        :raises PolicyRefused: ``mode`` is looser than policy.
        """
        return self._ask(
            verify,
            VerifyRequest,
            kid=kid,
            sigs=_tracks(sigs),
            digest=digest,
            message=message,
            policy=None if mode is None else {"mode": mode},
        )

    def verify_batch(self, items: Sequence[Mapping[str, Any]], *, kid: str | None = None) -> list[VerifyResult]:
        """Check up to 1,024 items, each by itself.

        :param items: the fields of :meth:`verify`, such as ``{"digest": ..., "sigs": ...}``; an item's kid goes before
            ``kid``.
        """
        listed = [{**item, "sigs": _tracks(item.get("sigs", ()))} for item in items]
        return self._ask(verify_batch, VerifyBatchRequest, items=listed, kid=kid).items

    def wrap(
        self, kid: str, *, plaintext: bytes | None = None, size: int | None = None, context: bytes = b""
    ) -> WrapAnswer:
        """Wrap a data key, given or freshly made with ``size`` bytes, for the key's newest version.

        :raises NotFound: there is no such key.
        :raises KeyDisabled, Conflict: the version may not wrap.
        """
        return self._ask(wrap, WrapRequest, kid=kid, plaintext=plaintext, size=size, context=context)

    def wrap_batch(self, items: Sequence[Mapping[str, Any]], *, kid: str | None = None) -> list[WrapResult]:
        """Wrap up to 1,024 data keys; items have the fields of :meth:`wrap`."""
        return self._ask(wrap_many, WrapBatchRequest, items=items, kid=kid).items

    def unwrap(self, kid: str, wrapped: bytes, *, context: bytes = b"") -> bytes:
        """Open a wrapped data key with the version that it names.

        :raises BadRequest: it does not open, whatever the cause.
        :raises KeyDisabled: the version may not open.
        """
        return self._ask(unwrap, UnwrapRequest, kid=kid, wrapped=wrapped, context=context).plaintext

    def unwrap_batch(self, items: Sequence[Mapping[str, Any]], *, kid: str | None = None) -> list[UnwrapResult]:
        """Open up to 1,024 wrapped data keys; items have the fields of :meth:`unwrap`."""
        return self._ask(unwrap_many, UnwrapBatchRequest, items=items, kid=kid).items

    def rewrap(self, kid: str, wrapped: bytes, *, context: bytes = b"") -> WrapAnswer:
        """Wrap a wrapped data key anew for the newest version, without showing it."""
        return self._ask(rewrap, UnwrapRequest, kid=kid, wrapped=wrapped, context=context)

    def rewrap_batch(self, items: Sequence[Mapping[str, Any]], *, kid: str | None = None) -> list[WrapResult]:
        """Rewrap up to 1,024 data keys; items have the fields of :meth:`rewrap`."""
        return self._ask(rewrap_many, UnwrapBatchRequest, items=items, kid=kid).items

    def seal(self, kid: str, plaintext: bytes, *, aad: bytes = b"") -> SealAnswer:
        """Encrypt and authenticate data under the key's newest version.

        :raises NotFound: there is no such key.
        :raises KeyDisabled, Conflict: the version may not seal.
        """
        return self._ask(seal, SealRequest, kid=kid, plaintext=plaintext, aad=aad)

    def seal_batch(self, items: Sequence[Mapping[str, Any]], *, kid: str | None = None) -> list[SealResult]:
        """Seal up to 1,024 items; they have the fields of :meth:`seal`."""
        return self._ask(seal_many, SealBatchRequest, items=items, kid=kid).items

    def open(self, kid: str, sealed: bytes, *, aad: bytes = b"") -> bytes:
        """Open sealed data with the version that they name.

        :raises BadRequest: they do not open, whatever the cause.
        :raises KeyDisabled: the version may not open.
        """
        return self._ask(open_one, OpenRequest, kid=kid, sealed=sealed, aad=aad).plaintext

    def open_batch(self, items: Sequence[Mapping[str, Any]], *, kid: str | None = None) -> list[OpenResult]:
        """Open up to 1,024 sealed items; they have the fields of :meth:`open`."""
        return self._ask(open_many, OpenBatchRequest, items=items, kid=kid).items

    def run_due(self) -> bool:
        """Rotate and destroy what is due, a batch of each; returns whether there is more.

        A running service does this by itself; without one it is for who has opened the store, now and then. It leaves
        alone what another process is at.
        """
        return run(Scheduler(self._kms, JOBS).turn())

    def policy(self, tenant: str) -> PolicyAnswer:
        """The tenant's post-quantum policy."""
        return self._ask(get_policy, GetPolicyRequest, tenant=tenant)

    def set_policy(self, tenant: str, *, phase: int, rollout_percent: int = 100, if_match: str = "*") -> PolicyAnswer:
        """Set the tenant's post-quantum policy.

        :param if_match: the ``etag`` that the policy must still have.
        :raises PreconditionFailed: it has another.
        """
        fields = {"tenant": tenant, "phase": phase, "rollout_percent": rollout_percent}
        return self._ask(put_policy, PutPolicyRequest, if_match=if_match, **fields)

    def plan_policy(
        self, tenant: str, *, rollout_percent: int = 100, after: str | None = None, limit: int = 100
    ) -> PlanAnswer:
        """What one step of the tenant's post-quantum policy would change."""
        return self._ask(plan, PlanRequest, tenant=tenant, rollout_percent=rollout_percent, after=after, limit=limit)


def _path(kid: Kid) -> dict[str, Any]:
    """A kid as the segments of a path."""
    return {name: value for name, value in kid._asdict().items() if value is not None}


def _tracks(sigs: Sigs) -> list[TrackSignature]:
    return [sig if isinstance(sig, TrackSignature) else TrackSignature(*sig) for sig in sigs]
