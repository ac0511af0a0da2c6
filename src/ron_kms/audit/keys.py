"""The keys that sign a log's checkpoints: made by the core, sealed in the store, never outside guarded memory."""

from __future__ import annotations

from datetime import datetime

from ron_kms import _core
from ron_kms.audit.checkpoint import Signer
from ron_kms.audit.note import ED25519, ML_DSA_44, NoteKey
from ron_kms.crypto.suites import SUITES
from ron_kms.errors import Internal, StoreCorrupt
from ron_kms.root.handle import StoreKeys
from ron_kms.store.audit import AuditLog

_PREFIX = b"ron-kms/audit-key/v1\0"


def new_log(
    keys: StoreKeys, origin: str, node: str, slot: str, folder: str, now: datetime
) -> tuple[AuditLog, list[Signer]]:
    """A log that is not registered yet, with keys of its own.

    :raises Internal: there is no guarded memory left.
    """
    seal = keys.derive("audit")
    try:
        pair = [_core.generate(SUITES[key].scheme)[0] for key in ("ed25519", "ml-dsa-44")]
        publics = [slot.public_keys[0] for slot in pair]
        named = [NoteKey(origin, kind, public) for kind, public in zip((ED25519, ML_DSA_44), publics, strict=True)]
        blobs = [seal.seal_slot(half, _binding(key)) for half, key in zip(pair, named, strict=True)]
    except _core.CoreError as error:
        raise Internal(f"the keys of an audit log cannot be made: {error}") from None
    finally:
        seal.release()
    log = AuditLog(origin, node, slot, folder, publics[0], blobs[0], publics[1], blobs[1], now)
    return log, [_signer(key, half) for key, half in zip(named, pair, strict=True)]


def keys_of(log: AuditLog) -> tuple[NoteKey, NoteKey]:
    """The keys that a log's checkpoints are signed with."""
    return NoteKey(log.origin, ED25519, log.ed25519), NoteKey(log.origin, ML_DSA_44, log.ml_dsa_44)


def signers_of(keys: StoreKeys, log: AuditLog) -> list[Signer]:
    """The keys of a registered log, unsealed.

    :raises StoreCorrupt: they do not open.
    """
    seal = keys.derive("audit")
    try:
        return [
            _signer(key, seal.open_slot(SUITES[key.algorithm].scheme, (key.public,), blob, _binding(key)))
            for key, blob in zip(keys_of(log), (log.ed25519_blob, log.ml_dsa_44_blob), strict=True)
        ]
    except _core.GuardedMemoryError as error:
        raise Internal(str(error)) from None
    except (ValueError, _core.CoreError):
        raise StoreCorrupt(f"the sealed keys of the audit log {log.origin} do not open: they were changed") from None
    finally:
        seal.release()


def _signer(key: NoteKey, slot: _core.KeySlot) -> Signer:
    def sign(message: bytes) -> bytes:
        [result] = _core.sign([slot], [message])
        if isinstance(result, Exception):
            raise Internal(f"a checkpoint cannot be signed: {result}")
        return result[0]

    return Signer(key, sign)


def _binding(key: NoteKey) -> bytes:
    return _PREFIX + key.text.encode()
