"""What is kept in memory of one version of a key."""

from __future__ import annotations

import sys
from functools import cache, lru_cache
from typing import NamedTuple

import msgspec

from ron_kms.crypto.signing import VerifyKey
from ron_kms.crypto.suites import SUITES, Suite
from ron_kms.crypto.wrapping import WrapKey
from ron_kms.errors import StoreCorrupt
from ron_kms.model import Key, Kid, State, Use, Version
from ron_kms.store.refresh import boottime

_FIXED_BYTES = 700
"""Of an entry without its public keys: its objects, its name's uuid, its places in the directory's tables."""

_OBJECT_BYTES = 48
"""Of a public key beside its own bytes."""


class Traits(NamedTuple):
    """What of a key decides what its versions may be asked for; the same for most keys."""

    use: Use
    raw_messages: bool
    min_verify_version: int
    min_open_version: int


class Entry(msgspec.Struct, eq=False, gc=False):
    """One version of a key. What it says of the key never changes; a later reading that differs makes another entry.

    :ivar kid: with its version.
    :ivar verify_key: of a key that signs.
    :ivar wrap_key: of a key that wraps.
    :ivar newest: whether this was the key's newest version when it was read.
    :ivar seen: the number of the last change that it can know of.
    :ivar read_at: when it was last read from the store, in seconds of CLOCK_BOOTTIME.
    :ivar used: whether it was found in memory since then.
    :ivar admitted: for which verbs it was found to be fit, for that never changes either.
    """

    kid: Kid
    key: Traits
    suite: Suite
    state: State
    verify_key: VerifyKey | None
    wrap_key: WrapKey | None
    newest: bool
    seen: int
    read_at: float
    used: bool = False
    admitted: tuple[object, ...] = ()
    _text: str | None = None

    @property
    def text(self) -> str:
        """The kid as it is written; made when first asked for."""
        text = self._text
        if text is None:
            text = self._text = str(self.kid)
        return text

    @property
    def age_ms(self) -> int:
        """Milliseconds since it was read from the store."""
        return int((boottime() - self.read_at) * 1000)

    def says_as(self, other: Entry) -> bool:
        """Whether both tell the same of the key."""
        return (
            (self.key, self.state, self.newest) == (other.key, other.state, other.newest)
            and self.suite is other.suite
            and self.verify_key == other.verify_key
            and (self.wrap_key and self.wrap_key.public) == (other.wrap_key and other.wrap_key.public)
        )


def entry_of(key: Key, version: Version, seen: int, read_at: float) -> Entry:
    """What was read from the store, or just written to it.

    :raises StoreCorrupt: the version's suite is not in this build.
    """
    suite = SUITES.get(version.suite)
    if suite is None:
        raise StoreCorrupt(f"key {key.uuid}#v{version.number} has a suite that this build does not know")
    return Entry(
        # Names and states are few and shared by many entries.
        kid=Kid(sys.intern(key.tenant), sys.intern(key.purpose), key.uuid, version.number),
        key=_traits(key.use, key.raw_messages, key.min_verify_version, key.min_open_version),
        suite=suite,
        state=sys.intern(version.state),  # type: ignore[arg-type] # the same text
        verify_key=VerifyKey(suite, version.public) if suite.use == "sign" else None,
        wrap_key=WrapKey(suite, version.public[0]) if suite.use == "wrap" else None,
        newest=version.number == key.newest,
        seen=seen,
        read_at=read_at,
    )


def weight(entry: Entry) -> int:
    """The bytes that an entry takes, its places in the tables included; never less than in truth."""
    return _suite_weight(entry.suite) + len(entry.kid.tenant) + len(entry.kid.purpose)


@cache
def _suite_weight(suite: Suite) -> int:
    sizes = suite.scheme.public_sizes if suite.use != "seal" else ()
    return _FIXED_BYTES + sum(_OBJECT_BYTES + size for size in sizes)


@lru_cache(maxsize=1024)
def _traits(use: Use, raw_messages: bool, min_verify: int, min_open: int) -> Traits:
    return Traits(use, raw_messages, min_verify, min_open)
