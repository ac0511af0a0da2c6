"""The nouns of ron-kms: kid, key, version, caller.

Plain immutable values without behaviour of their own beyond parsing and comparing names; all floors above use them.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec
import uuid_utils

from ron_kms.errors import BadRequest

Use = Literal["sign", "wrap", "seal"]
State = Literal["enabled", "disabled", "pending-destruction", "destroyed", "compromised"]
KeyState = Literal["enabled", "pending-destruction", "destroyed"]

_NAME = r"[a-z0-9][a-z0-9._-]{0,62}"
_UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_KID = re.compile(rf"({_NAME})/({_NAME})/({_UUID7})(?:#v([1-9][0-9]{{0,8}}))?")

NAME_PATTERN = rf"^{_NAME}$(?!\n)"
"""Tenants and purposes, as JSON Schema writes it; the end keeps out a last newline, which Python's ``$`` lets pass."""


def new_uuid() -> str:
    """A fresh UUIDv7 (RFC 9562), in its canonical text form."""
    return str(uuid_utils.uuid7())


KIDS_REMEMBERED = 8192
"""Texts of kids that were parsed, at 700 bytes each; only those that are kids."""


class Kid(NamedTuple):
    """A key's name, ``<tenant>/<purpose>/<uuid>#v<N>``; without ``#v<N>`` it means the newest version."""

    tenant: str
    purpose: str
    uuid: str
    version: int | None = None

    @classmethod
    def parse(cls, text: str) -> Kid:
        """:raises BadRequest: the text is not a kid."""
        return _parse(text)

    @property
    def key(self) -> str:
        """The kid without its version."""
        return f"{self.tenant}/{self.purpose}/{self.uuid}"

    def at(self, version: int | None) -> Kid:
        """The same key at one version, or at none."""
        return Kid(self.tenant, self.purpose, self.uuid, version)

    def __str__(self) -> str:
        return self.key if self.version is None else f"{self.key}#v{self.version}"


@lru_cache(KIDS_REMEMBERED)
def _parse(text: str) -> Kid:
    match = _KID.fullmatch(text)
    if match is None:
        raise BadRequest("a kid is <tenant>/<purpose>/<uuid version 7>, with #v<N> for one version")
    tenant, purpose, uuid, version = match.groups()
    return Kid(tenant, purpose, uuid, int(version) if version else None)


class Key(msgspec.Struct, frozen=True):
    """What is stored of a key as a whole.

    :ivar revision: grows with every change to the key or to a version of it.
    :ivar min_verify_version: versions below it verify nothing any more.
    :ivar min_open_version: versions below it unwrap and open nothing any more.
    :ivar rotation_period: in seconds; None where nothing rotates it by itself.
    :ivar next_rotation: when that is due.
    :ivar destroy_at: when the whole key is to be destroyed; None where nobody has asked for it.
    :ivar destroyed: when it was.
    """

    tenant: str
    purpose: str
    uuid: str
    use: Use
    raw_messages: bool
    labels: dict[str, str]
    newest: int
    created: datetime
    policy_hints: dict[str, str] = {}
    revision: int = 1
    min_verify_version: int = 1
    min_open_version: int = 1
    deletion_protection: bool = False
    rotation_period: int | None = None
    next_rotation: datetime | None = None
    destroy_at: datetime | None = None
    destroyed: datetime | None = None

    @property
    def kid(self) -> Kid:
        return Kid(self.tenant, self.purpose, self.uuid)

    @property
    def state(self) -> KeyState:
        if self.destroyed is not None:
            return "destroyed"
        return "enabled" if self.destroy_at is None else "pending-destruction"


class Version(msgspec.Struct, frozen=True):
    """What is stored of one version: public in the clear, private as a sealed blob that only the core can open.

    :ivar public: one public key a track, in the suite's order.
    :ivar blob: empty once it was destroyed.
    :ivar before: the state that a version pending destruction had, and has again when it is restored.
    :ivar destroy_at: when its blob is to be destroyed.
    :ivar destroyed: when it was.
    """

    number: int
    suite: str
    state: State
    public: tuple[bytes, ...]
    blob: bytes
    created: datetime
    before: State | None = None
    destroy_at: datetime | None = None
    destroyed: datetime | None = None


PHASE_MAX = 3


class Policy(msgspec.Struct, frozen=True):
    """How far a tenant is on its way to post-quantum signatures; what that means is in :mod:`ron_kms.policy.pq`.

    :ivar phase: 0 classical, 1 hybrid (``or``), 2 hybrid (``and``), 3 post-quantum only.
    :ivar rollout_percent: the share of the tenant's keys that the phase holds for; the others follow the one before.
    :ivar revision: counts its changes; 0 for the service-wide default, which no tenant has changed.
    :ivar stepped: when it was last set; None for the default.
    :ivar rolled_back: when the service itself took the phase back to 1, until an operator sets the policy again.
    :ivar rolled_back_by: the version (its kid) whose signature was the cause.
    """

    phase: int
    rollout_percent: int
    revision: int = 0
    stepped: datetime | None = None
    rolled_back: datetime | None = None
    rolled_back_by: str | None = None


class Caller(msgspec.Struct, frozen=True):
    """Who asks, as the token says: what is absent is not restricted.

    ``prefixes`` must all match, for a narrowed token may carry several; each is a tuple of one to three whole kid
    segments. ``expires`` is in seconds since the epoch, ``rate`` in operations a second. ``root_id`` names the root key
    that signs the token.
    """

    token_id: str
    scopes: frozenset[str]
    tenant: str | None = None
    prefixes: tuple[tuple[str, ...], ...] = ()
    expires: float | None = None
    rate: int | None = None
    root_id: str = ""

    def may_use(self, kid: Kid) -> bool:
        """Whether the key's name is inside the token's tenant and prefixes; decided before any look-up."""
        return self._covers(kid)

    def may_create(self, tenant: str, purpose: str) -> bool:
        """Whether any key may be made under this name. A prefix that names one key gives no right to make another."""
        return self._covers((tenant, purpose))

    def may_govern(self, tenant: str) -> bool:
        """Whether what concerns a whole tenant is in reach. A prefix inside of it gives no right to that."""
        return self._covers((tenant,))

    def listable(self, prefix: tuple[str, ...] = ()) -> tuple[str, ...] | None:
        """The one prefix that holds just those keys under ``prefix`` which this caller may use.

        :param prefix: whole kid segments, none for every key.
        :returns: ``prefix`` itself or a longer one; None if there is no such key.
        """
        found = prefix
        for limit in self.prefixes if self.tenant is None else ((self.tenant,), *self.prefixes):
            shorter, longer = sorted((found, limit), key=len)
            if longer[: len(shorter)] != shorter:
                return None
            found = longer
        return found

    def _covers(self, name: tuple[object, ...]) -> bool:
        if self.tenant is not None and self.tenant != name[0]:
            return False
        for prefix in self.prefixes:  # noqa: SIM110 - a generator costs more than what it asks, for each item
            if name[: len(prefix)] != prefix:
                return False
        return True


def is_uuid7(text: str) -> bool:
    """Whether the text is a UUIDv7 in canonical form."""
    return re.fullmatch(_UUID7, text) is not None


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID of any version in canonical form, as ``op_id`` is."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
