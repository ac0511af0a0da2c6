"""``ron_kms.open``: the service's own verbs in this process, without a server.

The acts are those of the service. They are coroutines because the server's store answers on an event loop; here the
store is waited for where it is asked, so that an act runs from its start to its end without ever being suspended.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self, TypeVar

from msgspec import UNSET, UnsetType

from ron_kms.capabilities.caveats import ALL_SCOPES
from ron_kms.crypto.signing import Mode
from ron_kms.keys.life import Settable
from ron_kms.model import Caller, Kid, Use, new_uuid
from ron_kms.service import destroy as destroying
from ron_kms.service import update as updating
from ron_kms.service.create import CreateRequest, create
from ron_kms.service.due import JOBS
from ron_kms.service.operation import Context
from ron_kms.service.plan import PlanAnswer, PlanRequest, plan
from ron_kms.service.policy import GetPolicyRequest, PolicyAnswer, PutPolicyRequest, get_policy, put_policy
from ron_kms.service.read import GetAnswer, ListAnswer, ListRequest, get, list_all
from ron_kms.service.rotate import RotateAnswer, RotateRequest, rotate
from ron_kms.service.schedule import Scheduler
from ron_kms.service.schema import KeyPath, TrackSignature, VersionPath, request_of, request_with
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
from ron_kms.service.sign import SignAnswer, SignBatchRequest, SignRequest, SignResult, sign, sign_batch
from ron_kms.service.start import KEY_SLOTS, start_session
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
from ron_kms.store.bootstrap import open_store

T = TypeVar("T")

Sigs = Iterable[tuple[str, bytes] | TrackSignature]
"""Signatures, one a track: as an answer has them, or ``(alg, signature)``."""

_OWNER = Caller("local", ALL_SCOPES)


class LocalKms:
    """A store of keys and the verbs that work with them, as on the wire: same fields, same answers, same errors.

    May be used from several threads at once; every call blocks until it is done, with the GIL released while it signs,
    verifies or waits for the disk. Made by :func:`ron_kms.open`.
    """

    def __init__(
        self,
        url: str,
        *,
        seal: str,
        passphrase_file: Path | None = None,
        key_slots: int = KEY_SLOTS,
        audit: Path | None = None,
    ) -> None:
        self._kms = start_session(open_store(url, seal, passphrase_file), url, audit, wait=_block, key_slots=key_slots)

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
        fields = {
            "tenant": tenant,
            "purpose": purpose,
            "use": use,
            "suite": suite,
            "labels": labels,
            "policy_hints": policy_hints,
            "raw_messages": raw_messages,
            "op_id": op_id,
        }
        return _run(create(self._kms, _context(), request_of(CreateRequest, fields))).kid

    def get(self, kid: str) -> GetAnswer:
        """A key with the public keys and states of all its versions.

        :raises NotFound: there is no such key.
        """
        return _run(get(self._kms, _context(), request_of(KeyPath, _path(Kid.parse(kid).at(None)))))

    def list_keys(self, prefix: str = "", *, after: str | None = None, limit: int = 100) -> ListAnswer:
        """Up to ``limit`` keys under a prefix of whole segments, beginning after a kid."""
        fields = {"prefix": prefix, "after": after, "limit": limit}
        return _run(list_all(self._kms, _context(), request_of(ListRequest, fields)))

    def rotate(self, kid: str, *, suite: str | None = None, op_id: str | None = None) -> RotateAnswer:
        """Make the next version of a key; those before it go on verifying and opening.

        :param suite: another suite, at least as strong; by default that of the newest version.
        :param op_id: a UUID; repeating the call with it within 7 days makes no second version.
        :raises Conflict: another rotation was first.
        :raises KeyDisabled: the key is destroyed or going to be.
        :raises PolicyRefused: the suite would be weaker.
        """
        fields = {"kid": kid, "suite": suite, "op_id": op_id}
        return _run(rotate(self._kms, _context(), request_of(RotateRequest, fields)))

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
        return _run(updating.update_key(self._kms, _context(if_match), request_with(updating.UpdateKeyRequest, fields)))

    def set_state(self, kid: str, state: Settable, *, if_match: str = "*") -> VersionAnswer:
        """Enable or disable the version that ``kid`` names, or mark it as compromised, which is final.

        :param if_match: the ``etag`` that the key must still have; any by default.
        :raises PreconditionFailed: it has another.
        :raises Conflict: the state does not follow the present one.
        """
        fields = {**_path(Kid.parse(kid)), "state": state}
        return _run(
            updating.update_version(self._kms, _context(if_match), request_of(updating.UpdateVersionRequest, fields))
        )

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
            key = request_of(destroying.DestroyKeyRequest, fields)
            return _run(destroying.destroy_key(self._kms, _context(), key))
        version = request_of(destroying.DestroyVersionRequest, fields)
        return _run(destroying.destroy_version(self._kms, _context(), version))

    def restore(self, kid: str) -> KeyAnswer | VersionAnswer:
        """Take the destruction of a version or of a whole key back.

        :raises Conflict: it is not pending destruction, or it is too late.
        """
        name = Kid.parse(kid)
        if name.version is None:
            return _run(destroying.restore_key(self._kms, _context(), request_of(KeyPath, _path(name))))
        return _run(destroying.restore_version(self._kms, _context(), request_of(VersionPath, _path(name))))

    def sign(
        self, kid: str, *, digest: bytes | None = None, message: bytes | None = None, op_id: str | None = None
    ) -> SignAnswer:
        """Sign exactly one of a BLAKE3-256 digest (32 bytes) and a message, with the key's newest version.

        :param op_id: a UUID that the audit log names the operation by.
        :raises NotFound: there is no such key.
        :raises KeyDisabled, Conflict: the version may not sign.
        :raises BadRequest, Unsupported: not what this key signs.
        """
        fields = {"kid": kid, "digest": digest, "message": message, "op_id": op_id}
        return _run(sign(self._kms, _context(), request_of(SignRequest, fields)))

    def sign_batch(self, items: Sequence[Mapping[str, Any]], *, kid: str | None = None) -> list[SignResult]:
        """Sign up to 1,024 items, each of which succeeds or fails by itself.

        :param items: the fields of :meth:`sign`, such as ``{"digest": ...}``; an item's kid goes before ``kid``.
        """
        fields = {"items": items, "kid": kid}
        return _run(sign_batch(self._kms, _context(), request_of(SignBatchRequest, fields))).items

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
        fields = {
            "kid": kid,
            "sigs": _tracks(sigs),
            "digest": digest,
            "message": message,
            "policy": None if mode is None else {"mode": mode},
        }
        return _run(verify(self._kms, _context(), request_of(VerifyRequest, fields)))

    def verify_batch(self, items: Sequence[Mapping[str, Any]], *, kid: str | None = None) -> list[VerifyResult]:
        """Check up to 1,024 items, each by itself.

        :param items: the fields of :meth:`verify`, such as ``{"digest": ..., "sigs": ...}``; an item's kid goes before
            ``kid``.
        """
        listed = [{**item, "sigs": _tracks(item.get("sigs", ()))} for item in items]
        fields = {"items": listed, "kid": kid}
        return _run(verify_batch(self._kms, _context(), request_of(VerifyBatchRequest, fields))).items

    def wrap(
        self, kid: str, *, plaintext: bytes | None = None, size: int | None = None, context: bytes = b""
    ) -> WrapAnswer:
        """Wrap a data key, given or freshly made with ``size`` bytes, for the key's newest version.

        :raises NotFound: there is no such key.
        :raises KeyDisabled, Conflict: the version may not wrap.
        """
        fields = {"kid": kid, "plaintext": plaintext, "size": size, "context": context}
        return _run(wrap(self._kms, _context(), request_of(WrapRequest, fields)))

    def wrap_batch(self, items: Sequence[Mapping[str, Any]], *, kid: str | None = None) -> list[WrapResult]:
        """Wrap up to 1,024 data keys; items have the fields of :meth:`wrap`."""
        fields = {"items": items, "kid": kid}
        return _run(wrap_many(self._kms, _context(), request_of(WrapBatchRequest, fields))).items

    def unwrap(self, kid: str, wrapped: bytes, *, context: bytes = b"") -> bytes:
        """Open a wrapped data key with the version that it names.

        :raises BadRequest: it does not open, whatever the cause.
        :raises KeyDisabled: the version may not open.
        """
        fields = {"kid": kid, "wrapped": wrapped, "context": context}
        return _run(unwrap(self._kms, _context(), request_of(UnwrapRequest, fields))).plaintext

    def unwrap_batch(self, items: Sequence[Mapping[str, Any]], *, kid: str | None = None) -> list[UnwrapResult]:
        """Open up to 1,024 wrapped data keys; items have the fields of :meth:`unwrap`."""
        fields = {"items": items, "kid": kid}
        return _run(unwrap_many(self._kms, _context(), request_of(UnwrapBatchRequest, fields))).items

    def rewrap(self, kid: str, wrapped: bytes, *, context: bytes = b"") -> WrapAnswer:
        """Wrap a wrapped data key anew for the newest version, without showing it."""
        fields = {"kid": kid, "wrapped": wrapped, "context": context}
        return _run(rewrap(self._kms, _context(), request_of(UnwrapRequest, fields)))

    def rewrap_batch(self, items: Sequence[Mapping[str, Any]], *, kid: str | None = None) -> list[WrapResult]:
        """Rewrap up to 1,024 data keys; items have the fields of :meth:`rewrap`."""
        fields = {"items": items, "kid": kid}
        return _run(rewrap_many(self._kms, _context(), request_of(UnwrapBatchRequest, fields))).items

    def seal(self, kid: str, plaintext: bytes, *, aad: bytes = b"") -> SealAnswer:
        """Encrypt and authenticate data under the key's newest version.

        :raises NotFound: there is no such key.
        :raises KeyDisabled, Conflict: the version may not seal.
        """
        fields = {"kid": kid, "plaintext": plaintext, "aad": aad}
        return _run(seal(self._kms, _context(), request_of(SealRequest, fields)))

    def seal_batch(self, items: Sequence[Mapping[str, Any]], *, kid: str | None = None) -> list[SealResult]:
        """Seal up to 1,024 items; they have the fields of :meth:`seal`."""
        fields = {"items": items, "kid": kid}
        return _run(seal_many(self._kms, _context(), request_of(SealBatchRequest, fields))).items

    def open(self, kid: str, sealed: bytes, *, aad: bytes = b"") -> bytes:
        """Open sealed data with the version that they name.

        :raises BadRequest: they do not open, whatever the cause.
        :raises KeyDisabled: the version may not open.
        """
        fields = {"kid": kid, "sealed": sealed, "aad": aad}
        return _run(open_one(self._kms, _context(), request_of(OpenRequest, fields))).plaintext

    def open_batch(self, items: Sequence[Mapping[str, Any]], *, kid: str | None = None) -> list[OpenResult]:
        """Open up to 1,024 sealed items; they have the fields of :meth:`open`."""
        fields = {"items": items, "kid": kid}
        return _run(open_many(self._kms, _context(), request_of(OpenBatchRequest, fields))).items

    def run_due(self) -> bool:
        """Rotate and destroy what is due, a batch of each; returns whether there is more.

        A running service does this by itself; without one it is for who has opened the store, now and then. It leaves
        alone what another process is at.
        """
        return _run(Scheduler(self._kms, JOBS).turn())

    def policy(self, tenant: str) -> PolicyAnswer:
        """The tenant's post-quantum policy."""
        return _run(get_policy(self._kms, _context(), request_of(GetPolicyRequest, {"tenant": tenant})))

    def set_policy(self, tenant: str, *, phase: int, rollout_percent: int = 100, if_match: str = "*") -> PolicyAnswer:
        """Set the tenant's post-quantum policy.

        :param if_match: the ``etag`` that the policy must still have.
        :raises PreconditionFailed: it has another.
        """
        fields = {"tenant": tenant, "phase": phase, "rollout_percent": rollout_percent}
        context = _context(if_match)
        return _run(put_policy(self._kms, context, request_of(PutPolicyRequest, fields)))

    def plan_policy(
        self, tenant: str, *, rollout_percent: int = 100, after: str | None = None, limit: int = 100
    ) -> PlanAnswer:
        """What one step of the tenant's post-quantum policy would change."""
        fields = {"tenant": tenant, "rollout_percent": rollout_percent, "after": after, "limit": limit}
        return _run(plan(self._kms, _context(), request_of(PlanRequest, fields)))

    def close(self) -> None:
        """Close the store and wipe every key."""
        self._kms.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _run(act: Coroutine[Any, Any, T]) -> T:
    try:
        act.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    act.close()
    raise RuntimeError("an act was suspended, which nothing that it waits for here can cause")


async def _block(future: Future[T]) -> T:
    return future.result()


def _context(if_match: str | None = None) -> Context:
    return Context(caller=_OWNER, request_id=new_uuid(), if_match=if_match)


def _path(kid: Kid) -> dict[str, Any]:
    """A kid as the segments of a path."""
    return {name: value for name, value in kid._asdict().items() if value is not None}


def _tracks(sigs: Sigs) -> list[TrackSignature]:
    return [sig if isinstance(sig, TrackSignature) else TrackSignature(*sig) for sig in sigs]
