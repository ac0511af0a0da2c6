"""update: the settings of a key, and the states that its versions are put into; only while they are as was read."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import asdict

from ron_kms.errors import BadRequest
from ron_kms.keys import life
from ron_kms.model import Kid, Version
from ron_kms.service.change import Changed, commit, etag_of, existing, require_match
from ron_kms.service.items import authorised
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context, Operation
from ron_kms.service.read import KeyFields, VersionDetails, key_fields, version_fields
from ron_kms.service.schema import KeyPath, Labels, PolicyHints, VersionPath
from ron_kms.store.database import Connection
from ron_kms.store.keys import Saved, save

_RISES = "It only ever rises, to the newest version at most."
MinVerify = Annotated[int, Meta(ge=1, description=f"Older versions verify nothing any more. {_RISES}")]
MinOpen = Annotated[int, Meta(ge=1, description=f"Older versions unwrap and open nothing any more. {_RISES}")]
Protection = Annotated[bool, Meta(description="Whether the key and its versions are safe from destruction.")]
Period = Annotated[
    Annotated[int, Meta(ge=60, le=10 * 366 * 86400)] | None,
    Meta(description="Seconds from one version to the next, null for none. A disabled key does not rotate by itself."),
]


class UpdateKeyRequest(KeyPath):
    """What is left out stays as it is."""

    min_verify_version: MinVerify | UnsetType = UNSET
    min_open_version: MinOpen | UnsetType = UNSET
    deletion_protection: Protection | UnsetType = UNSET
    rotation_period: Period | UnsetType = UNSET
    labels: Labels | UnsetType = UNSET
    policy_hints: PolicyHints | UnsetType = UNSET


class UpdateVersionRequest(VersionPath):
    """``compromised`` is final: such a version does nothing any more, and does not even verify."""

    state: Annotated[life.Settable, Meta(description="The state to put the version into.")]


class KeyAnswer(KeyFields, kw_only=True):
    """The key as it is now."""

    etag: str


class VersionAnswer(VersionDetails, kw_only=True):
    """The version as it is now; the tag is the key's."""

    etag: str


async def update_key(kms: Kms, context: Context, request: UpdateKeyRequest) -> KeyAnswer:
    """:raises NotFound: there is no such key, or the caller's token does not cover it.
    :raises PreconditionFailed: it was changed since the caller read it.
    :raises Conflict: a minimum version would be lowered or lies above the newest.
    """
    kid = authorised(context.caller, request.kid_text)
    given = {name: value for name, value in asdict(request).items() if name in _SETTINGS and value is not UNSET}
    if not given:
        raise BadRequest("there is nothing to change", hint=f"Send at least one of {', '.join(_SETTINGS)}.")

    def write(connection: Connection) -> Changed[KeyAnswer]:
        key, newest = existing(kms, connection, kid)
        require_match(context, key)
        changed = life.changed(key, newest, given)
        if changed == key:
            return Changed(key_answer(Saved(key, 0)), None)
        saved = save(connection, kms.rows, key, changed)
        return Changed(key_answer(saved), saved, reason=" ".join(sorted(given)))

    return await commit(kms, context, "update-key", kid, write)


_SETTINGS = tuple(name for name in UpdateKeyRequest.__struct_fields__ if name not in KeyPath.__struct_fields__)


async def update_version(kms: Kms, context: Context, request: UpdateVersionRequest) -> VersionAnswer:
    """:raises NotFound: there is no such version, or the caller's token does not cover it.
    :raises PreconditionFailed: the key was changed since the caller read it.
    :raises Conflict: the state does not follow the version's present one.
    """
    kid = authorised(context.caller, request.kid_text)

    def write(connection: Connection) -> Changed[VersionAnswer]:
        key, version = existing(kms, connection, kid)
        require_match(context, key)
        changed = life.in_state(version, request.state)
        if changed == version:
            return Changed(version_answer(kid, Saved(key, 0), version), None)
        saved = save(connection, kms.rows, key, life.with_version(key, changed), [(version, changed)])
        return Changed(version_answer(kid, saved, changed), saved, changed, changed.state)

    return await commit(kms, context, "update-version", kid, write)


def key_answer(saved: Saved) -> KeyAnswer:
    return KeyAnswer(**key_fields(saved.key), etag=etag_of(saved.key))


def version_answer(kid: Kid, saved: Saved, version: Version) -> VersionAnswer:
    return VersionAnswer(**version_fields(kid, version), etag=etag_of(saved.key))


OPERATIONS = (
    Operation(
        name="update-key",
        method="PATCH",
        path="/v1/kms/keys/{tenant}/{purpose}/{uuid}",
        scope="kms:admin",
        request=UpdateKeyRequest,
        response=KeyAnswer,
        act=update_key,
        help="Change a key's minimum versions, protection, rotation period, labels or policy hints.",
        if_match=True,
    ),
    Operation(
        name="update-version",
        method="PATCH",
        path="/v1/kms/keys/{tenant}/{purpose}/{uuid}/versions/{version}",
        scope="kms:admin",
        request=UpdateVersionRequest,
        response=VersionAnswer,
        act=update_version,
        help="Enable or disable one version of a key, or mark it as compromised. Of these states only enabled ones work"
        " with the private key; disabled ones go on verifying.",
        if_match=True,
    ),
)
