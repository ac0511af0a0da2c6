"""Custody by the native core: private keys rest as sealed blobs in the store and work in guarded memory."""

from __future__ import annotations

import logging
import resource
import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ron_kms import _core
from ron_kms.crypto.framing import blob_ad
from ron_kms.crypto.suites import SUITES, Suite
from ron_kms.crypto.wrapping import WrapKey
from ron_kms.errors import ConfigurationError, Internal, StoreCorrupt
from ron_kms.model import Kid, Version
from ron_kms.root.handle import StoreKeys
from ron_kms.store.horizon import Horizon

_log = logging.getLogger(__name__)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SLOT_LOCKED_BYTES = 8192
"""Locked memory of a slot: two pages for a hybrid's secrets and libsodium's canary, one for Ed25519 alone.

Resident are 14 KiB of a hybrid's, public keys and libsodium's header page included, so 14 MiB of 1,024 slots.
"""

SLOT_MAPPINGS = 4
"""Memory mappings of a slot: header, guard page, secrets, guard page."""

FEWEST_SLOTS = 16
_WAVE = 64


class Custodian:
    """Makes, seals and unseals keys, and signs with them.

    At most ``slots`` private keys are unsealed at a time; the least recently used one makes room. A key that a batch is
    working with stays until the batch has ended. None is kept that was read before a change to it that is known of.
    """

    def __init__(self, keys: StoreKeys, slots: int, horizon: Horizon) -> None:
        self._keys = keys
        self._horizon = horizon
        self._bound = affordable_slots(slots)
        self.wave = min(self._bound, _WAVE)
        """How many keys a request may have unsealed at the same time, so that many requests stay near the bound."""
        self._slots: OrderedDict[Kid, tuple[_core.KeySlot, int]] = OrderedDict()  # with what it has seen
        self._lock = threading.Lock()

    def create(self, kid: Kid, suite: Suite) -> Version:
        """Make a key for ``kid`` (with its version) that has passed a pairwise test, sealed and ready to be stored.

        :raises Internal: there is no guarded memory left, or the service is closed.
        """
        try:
            slot = _core.generate(suite.scheme)[0]
            # Microseconds, for that is what the store keeps and what the blob is bound to.
            created = datetime.now(UTC)
            seal = self._keys.tenant_seal(kid.tenant)
            blob = seal.seal_slot(slot, blob_ad(kid, suite.name, _microseconds(created), slot.public_keys))
        except _core.CoreError as error:
            raise Internal(f"the key cannot be made: {error}") from None
        slot.release()
        return Version(_number(kid), suite.name, "enabled", slot.public_keys, blob, created)

    def find(self, kid: Kid) -> _core.KeySlot | None:
        """The private key of ``kid`` (with its version) if it is unsealed already."""
        held = self._slots.get(kid)
        if held is None:
            return None
        try:  # noqa: SIM105 - without the lock, and without what suppress costs
            self._slots.move_to_end(kid)
        except KeyError:
            pass  # it was evicted or forgotten meanwhile; it works until it is let go of
        return held[0]

    def unseal(self, kid: Kid, version: Version, seen: int) -> _core.KeySlot:
        """Open the private key of ``kid`` (with its version) from its blob.

        :param seen: the number of a change before which the version was not read.
        :raises StoreCorrupt: the blob does not open.
        :raises Internal: there is no guarded memory left.
        """
        ad = blob_ad(kid, version.suite, _microseconds(version.created), version.public)
        try:
            scheme = SUITES[version.suite].scheme
            slot = self._keys.tenant_seal(kid.tenant).open_slot(scheme, version.public, version.blob, ad)
        except _core.GuardedMemoryError as error:
            raise Internal(str(error)) from None
        except (KeyError, ValueError, _core.CoreError):
            raise StoreCorrupt(
                f"the sealed key {kid.uuid}#v{version.number} does not open: it was changed outside ron-kms"
            ) from None
        with self._lock:
            if self._horizon.outdated(kid.uuid, seen):
                return slot
            # Another request may have opened the same key meanwhile: then this one takes its place, and no other's.
            self._slots.pop(kid, None)
            # Evicted slots are only let go of: what still works with one holds it, and the last to let go wipes it.
            while len(self._slots) >= self._bound:
                self._slots.popitem(last=False)
            self._slots[kid] = slot, seen
        return slot

    def forget(self, uuids: Collection[str] | None) -> None:
        """Wipe the private keys of these keys, or of any, that were read before a change to them; those that are worked
        with, when that work has ended.

        To be called after the horizon has heard of the changes.
        """
        with self._lock:
            for kid in [kid for kid in self._slots if uuids is None or kid.uuid in uuids]:
                if self._horizon.outdated(kid.uuid, self._slots[kid][1]):
                    del self._slots[kid]

    def works(self) -> bool:
        """Whether a key can be made, signs and is let go of now: some 200 microseconds."""
        try:
            slot = _core.generate(SUITES["ed25519"].scheme)[0]
        except _core.CoreError:
            return False
        [signature] = _core.sign([slot], [b"whether the core works"])
        slot.release()
        return isinstance(signature, tuple)

    @property
    def loaded(self) -> int:
        """How many private keys are unsealed now."""
        return len(self._slots)

    def release(self) -> None:
        """Wipe every unsealed key and the keys that seal them."""
        with self._lock:
            for slot, _ in self._slots.values():
                slot.release()
            self._slots.clear()
        self._keys.release()


def sign(slots: Sequence[_core.KeySlot], messages: Sequence[bytes]) -> list[tuple[bytes, ...] | Internal]:
    """Sign each message with its slot, the GIL released for the whole batch; one signature a track, an item each."""
    results = _core.sign(slots, messages)
    return [result if isinstance(result, tuple) else Internal(str(result)) for result in results]


def unwrap(slots: Sequence[_core.KeySlot], infos: Sequence[bytes], wrapped: Sequence[bytes]) -> list[bytes | None]:
    """Open HPKE messages; None stands for one that does not open, whatever the cause."""
    return _opened(_core.hpke_open(slots, infos, wrapped))


def rewrap(
    slots: Sequence[_core.KeySlot],
    infos: Sequence[bytes],
    wrapped: Sequence[bytes],
    keys: Sequence[WrapKey],
    new_infos: Sequence[bytes],
) -> list[bytes | None]:
    """Open HPKE messages and wrap what is in them for other keys, without it ever leaving the core."""
    return _opened(_core.hpke_rewrap(slots, infos, wrapped, [key.native for key in keys], new_infos))


def seal(slots: Sequence[_core.KeySlot], ads: Sequence[bytes], plaintexts: Sequence[bytes]) -> list[bytes | Internal]:
    """Encrypt under kept keys: nonce, ciphertext, tag."""
    results = _core.aead_seal(slots, ads, plaintexts)
    return [result if isinstance(result, bytes) else Internal(str(result)) for result in results]


def unseal_data(slots: Sequence[_core.KeySlot], ads: Sequence[bytes], sealed: Sequence[bytes]) -> list[bytes | None]:
    """Decrypt what :func:`seal` made; None stands for what does not open, whatever the cause."""
    return _opened(_core.aead_open(slots, ads, sealed))


def _opened(results: Sequence[bytes | Exception]) -> list[bytes | None]:
    return [result if isinstance(result, bytes) else None for result in results]


def affordable_slots(wanted: int) -> int:
    """How many of the wanted slots this process can lock in memory.

    libsodium hides a failed mlock and returns no memory near the limit of mappings, so both are looked at before.

    :raises ConfigurationError: fewer than 16.
    """
    locked, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    bounds = [wanted]
    if locked != resource.RLIM_INFINITY and not _may_lock_without_limit():
        bounds.append(locked * 3 // 4 // SLOT_LOCKED_BYTES)
    try:
        mappings = int(Path("/proc/sys/vm/max_map_count").read_text())
    except (OSError, ValueError):
        pass
    else:
        bounds.append(mappings // 2 // SLOT_MAPPINGS)
    slots = min(bounds)
    if slots < FEWEST_SLOTS:
        raise ConfigurationError(
            f"only {slots} private keys would fit into locked memory and {FEWEST_SLOTS} are the least",
            hint="Raise KMS_KEY_SLOTS, RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=) or vm.max_map_count.",
        )
    if slots < wanted:
        _log.warning("RLIMIT_MEMLOCK or vm.max_map_count limit the private keys in memory to %d, not %d", slots, wanted)
    return slots


def _may_lock_without_limit() -> bool:
    """Whether the process has CAP_IPC_LOCK (capability 14), to which RLIMIT_MEMLOCK does not apply."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return False
    effective = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> 14 & 1)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _number(kid: Kid) -> int:
    if kid.version is None:
        raise ValueError("a kid with its version is needed")
    return kid.version
