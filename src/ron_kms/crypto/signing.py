"""Keys that sign and verify: the library's, and what the service verifies with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from ron_kms import _core
from ron_kms.crypto.suites import SUITES, Suite, find
from ron_kms.errors import Internal, InvalidSignature, KmsError, Unsupported

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Buffer

Mode = Literal["or", "and", "pq_only"]


class Signature(NamedTuple):
    """One track's signature.

    :ivar alg: the track, such as ``ed25519`` or ``ml-dsa-65``.
    :ivar signature: its bytes, of the one size that the algorithm has.
    """

    alg: str
    signature: bytes


class Verdict(NamedTuple):
    """What a set of signatures proved, track by track, in the suite's order."""

    suite: Suite
    checked: tuple[str, ...]
    valid: tuple[str, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        return tuple(track for track in self.checked if track not in self.valid)

    def satisfies(self, mode: Mode) -> bool:
        """``or``: any track valid; ``and``: every track of the key; ``pq_only``: the post-quantum one."""
        if mode == "or":
            return bool(self.valid)
        if mode == "and":
            return len(self.valid) == len(self.suite.tracks)
        return any(track.post_quantum and track.name in self.valid for track in self.suite.tracks)


class VerifyKey:
    """The public half of a signing key, one public key a track.

    >>> key = SigningKey.generate("ed25519")
    >>> copy = VerifyKey.from_bytes(key.verify_key.public)
    >>> copy.is_valid(b"message", key.sign(b"message"))
    True
    """

    __slots__ = ("_native", "_suite")

    def __init__(self, suite: Suite, public_keys: Iterable[bytes]) -> None:
        self._suite = suite
        self._native = _core.PublicKey(suite.signature_scheme, public_keys)

    @classmethod
    def from_bytes(cls, public: Mapping[str, bytes]) -> VerifyKey:
        """Build a key from its tracks' raw public keys (RFC 8032, FIPS 204): ``{"ed25519": ..., "ml-dsa-65": ...}``.

        :raises Unsupported: no suite has exactly these tracks.
        :raises ValueError: a public key has the wrong size.
        """
        for suite in SUITES.values():
            if suite.use == "sign" and set(suite.track_names) == set(public):
                return cls(suite, [public[track] for track in suite.track_names])
        raise Unsupported("no suite has exactly these tracks")

    @property
    def suite(self) -> str:
        """The suite's name."""
        return self._suite.name

    @property
    def public(self) -> dict[str, bytes]:
        """The raw public keys by track."""
        return dict(zip(self._suite.track_names, self._native.public_keys, strict=True))

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that name this key."""
        return self._native.fingerprint

    def verify(self, message: Buffer, sigs: Iterable[tuple[str, Buffer]], mode: Mode = "and") -> None:
        """Check signatures over a message.

        :param sigs: one a track, in any order.
        :param mode: ``and``: every track that this key has; ``or``: any; ``pq_only``: the post-quantum one.
        :raises InvalidSignature: they do not hold.
        """
        if not self.is_valid(message, sigs, mode):
            raise InvalidSignature("the signature is not valid for this message and key")

    def is_valid(self, message: Buffer, sigs: Iterable[tuple[str, Buffer]], mode: Mode = "and") -> bool:
        """Whether :meth:`verify` would pass. A wrong size, a missing or a foreign track is False, never an error."""
        return judge_batch([(self, message, sigs)])[0].satisfies(mode)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VerifyKey):
            return NotImplemented
        return self.public == other.public

    def __hash__(self) -> int:
        return hash(self._native.public_keys)

    def __repr__(self) -> str:
        return f"<VerifyKey {self.suite} {self.fingerprint}>"

    def _align(self, sigs: Iterable[tuple[str, Buffer]]) -> tuple[Buffer | None, ...]:
        """One signature a track in the suite's order; none at all where a track is foreign or named twice."""
        names = self._suite.track_names
        aligned: list[Buffer | None] = [None] * len(names)
        for alg, signature in sigs:
            if alg not in names or aligned[names.index(alg)] is not None:
                return (None,) * len(names)
            aligned[names.index(alg)] = signature
        return tuple(aligned)


def judge_batch(items: Sequence[tuple[VerifyKey, Buffer, Iterable[tuple[str, Buffer]]]]) -> list[Verdict]:
    """What each item's signatures prove, the GIL released for the whole batch.

    :param items: key, message and signatures, each.
    :raises TypeError: a message or a signature is not bytes.
    """
    aligned = [key._align(sigs) for key, _, sigs in items]
    masks = _core.verify([key._native for key, _, _ in items], [message for _, message, _ in items], aligned)
    verdicts = []
    for (key, _, _), sigs, mask in zip(items, aligned, masks, strict=True):
        if isinstance(mask, Exception):
            raise mask
        verdicts.append(_verdict(key._suite, tuple([sig is not None for sig in sigs]), mask))
    return verdicts


@lru_cache
def _verdict(suite: Suite, there: tuple[bool, ...], mask: int) -> Verdict:
    """There are few: what can be found out about signatures is one of nine for a hybrid, one of three else."""
    names = suite.track_names
    checked = tuple(name for name, given in zip(names, there, strict=True) if given)
    return Verdict(suite, checked, tuple(name for t, name in enumerate(names) if mask >> t & 1))


def verify_batch(
    items: Sequence[tuple[VerifyKey, Buffer, Iterable[tuple[str, Buffer]]]], mode: Mode = "and"
) -> list[bool]:
    """Whether each item's signatures hold, in order; the GIL is released for the whole batch.

    >>> key = SigningKey.generate("ml-dsa-44")
    >>> verify_batch([(key.verify_key, b"one", key.sign(b"one")), (key.verify_key, b"two", key.sign(b"one"))])
    [True, False]

    :param items: key, message and signatures, each.
    :raises TypeError: a message or a signature is not bytes.
    """
    return [verdict.satisfies(mode) for verdict in judge_batch(items)]


class SigningKey:
    """A private key that signs with every track of its suite; its secret never leaves guarded memory.

    >>> with SigningKey.generate("ed25519+ml-dsa-65") as key:
    ...     sigs = key.sign(b"message")
    >>> [(sig.alg, len(sig.signature)) for sig in sigs]
    [('ed25519', 64), ('ml-dsa-65', 3309)]
    >>> key.verify_key.verify(b"message", sigs)

    There is no way to export or import it: keys that must outlive the process are kept by :func:`ron_kms.open`.
    """

    __slots__ = ("_slot", "_suite", "_verify_key")
    _slot: _core.KeySlot
    _suite: Suite
    _verify_key: VerifyKey

    def __init__(self) -> None:
        raise TypeError("use SigningKey.generate(suite)")

    @classmethod
    def generate(cls, suite: str = "hybrid") -> SigningKey:
        """Make a key that has passed a pairwise sign-verify test.

        :param suite: a suite's name (``ed25519``, ``ml-dsa-65``, ``ed25519+ml-dsa-65``, ...) or ``hybrid``.
        :raises Unsupported: there is no such suite to sign with.
        """
        found = find("sign", suite)
        key = cls.__new__(cls)
        key._suite = found
        key._slot = _core.generate(found.scheme)[0]
        key._verify_key = VerifyKey(found, key._slot.public_keys)
        return key

    @property
    def suite(self) -> str:
        """The suite's name."""
        return self._suite.name

    @property
    def verify_key(self) -> VerifyKey:
        """The public half."""
        return self._verify_key

    def sign(self, message: Buffer) -> tuple[Signature, ...]:
        """Sign the message itself: Ed25519 (RFC 8032) and ML-DSA (FIPS 204, hedged, empty context).

        :returns: one signature a track.
        :raises TypeError: the message is not bytes.
        :raises Internal: the key was closed.
        """
        [result] = self.sign_batch([message])
        if isinstance(result, Exception):
            raise result
        return result

    def sign_batch(self, messages: Sequence[Buffer]) -> list[tuple[Signature, ...] | KmsError | TypeError]:
        """Sign many messages at once with the GIL released; an error is its item's result and spoils no other.

        >>> key = SigningKey.generate("ed25519")
        >>> [type(result).__name__ for result in key.sign_batch([b"one", "not bytes"])]
        ['tuple', 'TypeError']
        """
        names = self._suite.track_names
        return [_outcome(names, result) for result in _core.sign([self._slot] * len(messages), messages)]

    def close(self) -> None:
        """Wipe the secret. The verify key stays usable."""
        self._slot.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<SigningKey {self.suite} {self._slot.fingerprint}>"


def _outcome(
    names: tuple[str, ...], result: tuple[bytes, ...] | Exception
) -> tuple[Signature, ...] | KmsError | TypeError:
    if isinstance(result, tuple):
        return tuple(map(Signature, names, result))
    if isinstance(result, (_core.CoreError, MemoryError)):
        return Internal(str(result))
    return TypeError(str(result))
