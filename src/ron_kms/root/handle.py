"""The root key, and the store key that it wraps.

The root does one thing only: it wraps the store's random key. Everything else is sealed or authenticated under keys
that are derived from the store key (HKDF-SHA256, RFC 5869; info ``ron-kms/<use>/v1``, a zero byte and the tenant), so
that a new root or another seal rewraps one row.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from ron_kms._core import SecretKey

# Guarded memory is scarce (pages and locks), and deriving anew takes microseconds.
_TENANTS_KEPT = 128


class StoreKeys:
    """The opened store key and what is derived from it. Safe to use from several threads."""

    def __init__(self, store_key: SecretKey) -> None:
        self._store_key = store_key
        self._lock = threading.Lock()
        self._seals: OrderedDict[str, SecretKey] = OrderedDict()
        self.row_key = self.derive("rows")
        """The key under which every row of the store is authenticated."""

    @classmethod
    def generate(cls) -> StoreKeys:
        """The keys of a new store."""
        return cls(SecretKey.generate())

    def derive(self, use: str, tenant: str = "") -> SecretKey:
        """The key for one use, for one tenant or (empty) for the whole service; the caller releases it."""
        return self._store_key.derive(b"ron-kms/" + use.encode() + b"/v1\0" + tenant.encode())

    def tenant_seal(self, tenant: str) -> SecretKey:
        """The key under which a tenant's private keys are sealed; shared, so never to be released by the caller."""
        with self._lock:
            seal = self._seals.get(tenant)
            if seal is None:
                seal = self._seals[tenant] = self.derive("seal", tenant)
                if len(self._seals) > _TENANTS_KEPT:
                    # Another thread may be using it: it is wiped when its last user lets go.
                    self._seals.popitem(last=False)
            else:
                self._seals.move_to_end(tenant)
            return seal

    def release(self) -> None:
        """Wipe the store key and all that was derived here."""
        with self._lock:
            for seal in self._seals.values():
                seal.release()
            self._seals.clear()
        self.row_key.release()
        self._store_key.release()


class RootKey:
    """The root key of a deployment, in guarded memory."""

    def __init__(self, secret: SecretKey) -> None:
        self._secret = secret

    @classmethod
    def generate(cls) -> RootKey:
        """A new one, which rests nowhere yet."""
        return cls(SecretKey.generate())

    @classmethod
    def receive(cls, fd: int) -> RootKey:
        """Take the root from an inherited socket, straight into guarded memory.

        :raises CoreError: the socket ended early.
        """
        return cls(SecretKey.receive(fd))

    def send(self, fd: int) -> None:
        """Hand the root to another process of this deployment."""
        self._secret.send(fd)

    @property
    def id(self) -> str:
        """16 hexadecimal digits that name the root and tell nothing of it."""
        return self._secret.id

    def wrap(self, keys: StoreKeys) -> bytes:
        """The store key, sealed under the root for the store's ``root`` row."""
        return self._secret.seal_key(keys._store_key, self._binding())

    def unwrap(self, wrapped: bytes) -> StoreKeys:
        """:raises CoreError: another root wrapped it, or it was changed."""
        return StoreKeys(self._secret.open_key(wrapped, self._binding()))

    def release(self) -> None:
        """Wipe the root key."""
        self._secret.release()

    def _binding(self) -> bytes:
        return b"ron-kms/store-key/v1\0" + self.id.encode()
