"""Keys that wrap other keys: HPKE base mode (RFC 9180) with HKDF-SHA256 and ChaCha20-Poly1305.

The message is HPKE's own, the encapsulated key and then the ciphertext, so that any HPKE library can make and open it.
Base mode proves no sender: whoever has the public key can wrap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from ron_kms import _core
from ron_kms.crypto.suites import Suite, find
from ron_kms.errors import BadRequest, Internal

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Buffer


class WrapKey:
    """The public half of a wrapping key.

    >>> unwrap_key = UnwrapKey.generate("x25519")
    >>> copy = WrapKey.from_bytes("x25519", unwrap_key.wrap_key.public)
    >>> unwrap_key.unwrap(copy.wrap(b"data key", b"what it is for"), b"what it is for")
    b'data key'
    """

    __slots__ = ("_suite", "native")

    def __init__(self, suite: Suite, public: bytes) -> None:
        self._suite = suite
        self.native = _core.PublicKey(suite.scheme, [public])

    @classmethod
    def from_bytes(cls, suite: str, public: bytes) -> WrapKey:
        """Build a key from a raw public key (RFC 7748, FIPS 203; X-Wing's is ML-KEM-768's and then X25519's).

        :raises Unsupported: there is no such suite to wrap with.
        :raises ValueError: the public key has the wrong size.
        """
        return cls(find("wrap", suite), public)

    @property
    def suite(self) -> str:
        """The suite's name."""
        return self._suite.name

    @property
    def public(self) -> bytes:
        """The raw public key."""
        return self.native.public_keys[0]

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that name this key."""
        return self.native.fingerprint

    def wrap(self, plaintext: Buffer, info: Buffer = b"") -> bytes:
        """Encrypt to this key.

        :param info: HPKE's info: what must be told again, unchanged, to unwrap.
        :returns: the encapsulated key and the ciphertext.
        :raises BadRequest: the public key is one that nothing can be wrapped for.
        """
        [result] = wrap_batch([(self, plaintext, info)])
        if isinstance(result, Exception):
            raise result
        return result

    def __repr__(self) -> str:
        return f"<WrapKey {self.suite} {self.fingerprint}>"


def wrap_batch(items: Sequence[tuple[WrapKey, Buffer, Buffer]]) -> list[bytes | BadRequest | TypeError]:
    """Encrypt each item (key, plaintext, info), the GIL released for the whole batch; an error is its item's result."""
    results = _core.hpke_seal(
        [key.native for key, _, _ in items], [info for *_, info in items], [p for _, p, _ in items]
    )
    return [_outcome(result) for result in results]


class UnwrapKey:
    """A private key that opens what was wrapped for it; its secret never leaves guarded memory.

    >>> with UnwrapKey.generate("x25519+ml-kem-768") as key:
    ...     wrapped = key.wrap_key.wrap(b"data key", b"context")
    ...     key.unwrap(wrapped, b"context")
    b'data key'
    """

    __slots__ = ("_slot", "_wrap_key")
    _slot: _core.KeySlot
    _wrap_key: WrapKey

    def __init__(self) -> None:
        raise TypeError("use UnwrapKey.generate(suite)")

    @classmethod
    def generate(cls, suite: str = "hybrid") -> UnwrapKey:
        """Make a key that has passed a pairwise encapsulate-decapsulate test.

        :param suite: ``x25519``, ``ml-kem-768``, ``ml-kem-1024``, ``x25519+ml-kem-768`` (X-Wing) or ``hybrid``.
        :raises Unsupported: there is no such suite to wrap with.
        """
        found = find("wrap", suite)
        key = cls.__new__(cls)
        key._slot = _core.generate(found.scheme)[0]
        key._wrap_key = WrapKey(found, key._slot.public_keys[0])
        return key

    @property
    def suite(self) -> str:
        """The suite's name."""
        return self._wrap_key.suite

    @property
    def wrap_key(self) -> WrapKey:
        """The public half."""
        return self._wrap_key

    def unwrap(self, wrapped: Buffer, info: Buffer = b"") -> bytes:
        """Open what was wrapped for this key under the same info.

        :raises BadRequest: it does not open, whatever the cause.
        :raises Internal: the key was closed.
        """
        [result] = self.unwrap_batch([(wrapped, info)])
        if isinstance(result, Exception):
            raise result
        return result

    def unwrap_batch(self, items: Sequence[tuple[Buffer, Buffer]]) -> list[bytes | BadRequest | TypeError]:
        """Open each item (wrapped, info), the GIL released for the whole batch; an error is its item's result."""
        if self._slot.closed:
            raise Internal("this key was closed")
        results = _core.hpke_open([self._slot] * len(items), [info for _, info in items], [w for w, _ in items])
        return [_outcome(result) for result in results]

    def close(self) -> None:
        """Wipe the secret."""
        self._slot.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<UnwrapKey {self.suite} {self._slot.fingerprint}>"


def _outcome(result: bytes | Exception) -> bytes | BadRequest | TypeError:
    if isinstance(result, bytes):
        return result
    if not isinstance(result, _core.CoreError):
        return TypeError(str(result))
    return BadRequest(str(result), hint="Check the key, its version, the context and that nothing was cut off.")
