"""destroy and restore: private keys go after a window in which the decision can be taken back; public keys stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from ron_kms.keys import life
from ron_kms.service.change import Changed, commit, existing, existing_key
from ron_kms.service.items import authorised
from ron_kms.service.kms import Kms
from ron_kms.service.once import Once
from ron_kms.service.operation import Context, Operation
from ron_kms.service.schema import KeyPath, OpId, VersionPath
from ron_kms.service.update import KeyAnswer, VersionAnswer, key_answer, version_answer
from ron_kms.store.database import Connection
from ron_kms.store.keys import save

Window = Annotated[
    int,
    Meta(
        ge=int(life.WINDOW_LEAST.total_seconds()),
        le=366 * 86400,
        description="Seconds until it is done, 30 days where it is left out and 7 days at least.",
    ),
]
_WINDOW = int(life.WINDOW_DEFAULT.total_seconds())


class DestroyKeyRequest(KeyPath):
    """Repeating a request with its ``op_id`` within 7 days gives the first answer again."""

    window_seconds: Window = _WINDOW
    op_id: OpId | UnsetType = UNSET


class DestroyVersionRequest(VersionPath):
    """Repeating a request with its ``op_id`` within 7 days gives the first answer again."""

    window_seconds: Window = _WINDOW
    op_id: OpId | UnsetType = UNSET


async def destroy_key(kms: Kms, context: Context, request: DestroyKeyRequest) -> KeyAnswer:
    """:raises NotFound: there is no such key, or the caller's token does not cover it.
    :raises Conflict: it is protected, destroyed or going to be, or the ``op_id`` was used with other fields.
    """
    kid = authorised(context.caller, request.kid_text)
    once = Once(kms, context, "destroy", kid, request, request.op_id, KeyAnswer)

    def write(connection: Connection) -> Changed[KeyAnswer]:
        key, versions = existing_key(kms, connection, kid)
        life.require_unprotected(key)
        condemned, left = life.condemned_key(key, versions, _after(request.window_seconds))
        saved = save(connection, kms.rows, key, condemned, left)
        return Changed(key_answer(saved), saved)

    return await commit(kms, context, "destroy-key", kid, once.around(write))


async def destroy_version(kms: Kms, context: Context, request: DestroyVersionRequest) -> VersionAnswer:
    """:raises NotFound: there is no such version, or the caller's token does not cover it.
    :raises Conflict: it is protected, destroyed or going to be, or the ``op_id`` was used with other fields.
    """
    kid = authorised(context.caller, request.kid_text)
    once = Once(kms, context, "destroy", kid, request, request.op_id, VersionAnswer)

    def write(connection: Connection) -> Changed[VersionAnswer]:
        key, version = existing(kms, connection, kid)
        life.require_unprotected(key)
        condemned = life.condemned(version, _after(request.window_seconds))
        saved = save(connection, kms.rows, key, life.with_version(key, condemned), [(version, condemned)])
        return Changed(version_answer(kid, saved, condemned), saved, condemned)

    return await commit(kms, context, "destroy-version", kid, once.around(write))


async def restore_key(kms: Kms, context: Context, request: KeyPath) -> KeyAnswer:
    """:raises NotFound: there is no such key, or the caller's token does not cover it.
    :raises Conflict: it is not pending destruction, or it is too late.
    """
    kid = authorised(context.caller, request.kid_text)

    def write(connection: Connection) -> Changed[KeyAnswer]:
        key, versions = existing_key(kms, connection, kid)
        restored, again = life.restored_key(key, versions, datetime.now(UTC))
        saved = save(connection, kms.rows, key, restored, again)
        return Changed(key_answer(saved), saved)

    return await commit(kms, context, "restore-key", kid, write)


async def restore_version(kms: Kms, context: Context, request: VersionPath) -> VersionAnswer:
    """:raises NotFound: there is no such version, or the caller's token does not cover it.
    :raises Conflict: it is not pending destruction by itself, or it is too late.
    """
    kid = authorised(context.caller, request.kid_text)

    def write(connection: Connection) -> Changed[VersionAnswer]:
        key, version = existing(kms, connection, kid)
        restored = life.restored(key, version, datetime.now(UTC))
        saved = save(connection, kms.rows, key, life.with_version(key, restored), [(version, restored)])
        return Changed(version_answer(kid, saved, restored), saved, restored)

    return await commit(kms, context, "restore-version", kid, write)


def _after(seconds: int) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


OPERATIONS = (
    Operation(
        name="destroy-key",
        method="DELETE",
        path="/v1/kms/keys/{tenant}/{purpose}/{uuid}",
        scope="kms:destroy",
        request=DestroyKeyRequest,
        response=KeyAnswer,
        act=destroy_key,
        help="Have a key destroyed after a window, with every version of it. Until then it is disabled and can be"
        " restored; its public keys stay and go on verifying. Backups hold it until they expire.",
    ),
    Operation(
        name="destroy-version",
        method="DELETE",
        path="/v1/kms/keys/{tenant}/{purpose}/{uuid}/versions/{version}",
        scope="kms:destroy",
        request=DestroyVersionRequest,
        response=VersionAnswer,
        act=destroy_version,
        help="Have one version of a key destroyed after a window. The public key stays and goes on verifying.",
    ),
    Operation(
        name="restore-key",
        method="POST",
        path="/v1/kms/keys/{tenant}/{purpose}/{uuid}/restore",
        scope="kms:destroy",
        request=KeyPath,
        response=KeyAnswer,
        act=restore_key,
        help="Take the destruction of a key back. All its versions that were to be destroyed are as they were before.",
    ),
    Operation(
        name="restore-version",
        method="POST",
        path="/v1/kms/keys/{tenant}/{purpose}/{uuid}/versions/{version}/restore",
        scope="kms:destroy",
        request=VersionPath,
        response=VersionAnswer,
        act=restore_version,
        help="Take the destruction of one version back. It is as it was before.",
    ),
)
