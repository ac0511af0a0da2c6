"""The life of a key: which state follows which, what is allowed in each, and when something is due.

Nothing here touches a store or a clock: a key and its versions go in, and come out as they are to be.

    enabled <-> disabled -> pending-destruction -> destroyed     any of them -> compromised
                         <-- restored ----------
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from msgspec.structs import replace

from ron_kms.errors import Conflict, KeyDisabled
from ron_kms.model import Key, State, Version

VERSIONS_MAX = 1000
"""They are read and changed together, so that their number bounds what one request can cost."""

WINDOW_LEAST = timedelta(days=7)
WINDOW_DEFAULT = timedelta(days=30)

Settable = Literal["enabled", "disabled", "compromised"]
"""States that a version is put into by name; the others come with time."""

VerifyRefusal = Literal["compromised", "below_minimum"]


def may_do_private(state: State) -> bool:
    """Whether a version in this state signs, unwraps, seals and opens."""
    return state == "enabled"


def verify_refusal(minimum: int, number: int, state: State) -> VerifyRefusal | None:
    """Why this version verifies nothing, whatever the signature is; None where it does. Destroyed ones do.

    :param minimum: the key's minimum version for verifying.
    """
    if state == "compromised":
        return "compromised"
    return "below_minimum" if number < minimum else None


def require_alive(key: Key) -> None:
    """For whatever gives a key a new version.

    :raises KeyDisabled: the key as a whole is destroyed or going to be.
    """
    if key.state == "destroyed":
        raise KeyDisabled("this key is destroyed", hint="Make a new key.")
    if key.state == "pending-destruction":
        raise KeyDisabled("this key is pending destruction", hint="Restore it first.")


def rotated(key: Key, added: Version) -> Key:
    """The key with its next version.

    :raises KeyDisabled: it is destroyed or going to be.
    :raises Conflict: somebody else has rotated it meanwhile, or it has as many versions as a key may have.
    """
    require_alive(key)
    if added.number > VERSIONS_MAX:
        raise Conflict(f"a key has at most {VERSIONS_MAX} versions", hint="Make a new key.")
    if added.number != key.newest + 1:
        raise Conflict("this key was rotated meanwhile", hint="The rotation that won has made a new version already.")
    return scheduled(replace(key, newest=added.number), added)


def scheduled(key: Key, newest: Version) -> Key:
    """The key with the time of its next rotation.

    Only a key in use is rotated by itself: where the newest version was disabled, a new one would undo it.
    """
    due = None
    if key.rotation_period is not None and key.state == "enabled" and may_do_private(newest.state):
        due = newest.created + timedelta(seconds=key.rotation_period)
    return replace(key, next_rotation=due)


def with_version(key: Key, version: Version) -> Key:
    """The key after one of its versions has changed."""
    return scheduled(key, version) if version.number == key.newest else key


def changed(key: Key, newest: Version, changes: Mapping[str, Any]) -> Key:
    """The key with some of its settings changed, named as the fields of :class:`ron_kms.model.Key`.

    :raises Conflict: a minimum version is lowered or set above the newest, or protection comes too late.
    """
    for name in ("min_verify_version", "min_open_version"):
        number = changes.get(name, getattr(key, name))
        if number < getattr(key, name):
            raise Conflict(f"{name} only ever rises, and it is {getattr(key, name)}")
        if number > key.newest:
            raise Conflict(f"{name} is at most the newest version, {key.newest}")
    if changes.get("deletion_protection") and key.state != "enabled":
        raise Conflict(f"this key is {key.state}", hint="Restore it first.")
    return scheduled(replace(key, **changes), newest)


def in_state(version: Version, state: Settable) -> Version:
    """The version in another state.

    :raises Conflict: that state does not follow its present one.
    """
    if version.state == state:
        return version
    if state == "compromised":
        return replace(version, state=state, before=None)
    if version.state not in ("enabled", "disabled"):
        hint = "Restore it first." if version.state == "pending-destruction" else "Rotate the key."
        raise Conflict(f"a version that is {version.state} cannot become {state}", hint=hint)
    return replace(version, state=state)


def _gone(version: Version) -> bool:
    return version.destroyed is not None


def condemned(version: Version, at: datetime) -> Version:
    """The version, to be destroyed at that time; a compromised one stays compromised until then and after.

    :raises Conflict: it is destroyed already, or going to be.
    """
    if _gone(version):
        raise Conflict("this version is destroyed already")
    if version.destroy_at is not None:
        raise Conflict(f"this version is to be destroyed at {version.destroy_at.isoformat()} already")
    if version.state == "compromised":
        return replace(version, destroy_at=at)
    return replace(version, state="pending-destruction", before=version.state, destroy_at=at)


def condemned_key(key: Key, versions: Iterable[Version], at: datetime) -> tuple[Key, list[tuple[Version, Version]]]:
    """The key with whatever is left of it, to be destroyed at that time; what was to be destroyed sooner still is.

    :returns: the key, and its changed versions before and after.
    :raises Conflict: it is destroyed already, or going to be.
    """
    if key.state != "enabled":
        raise Conflict(f"this key is {key.state} already")
    left = [
        (version, condemned(version, at) if version.destroy_at is None else replace(version, destroy_at=at))
        for version in versions
        if not _gone(version) and (version.destroy_at is None or version.destroy_at > at)
    ]
    return replace(key, destroy_at=at, next_rotation=None), left


def require_unprotected(key: Key) -> None:
    """:raises Conflict: deletion protection is on."""
    if key.deletion_protection:
        raise Conflict("this key is protected from deletion", hint="Turn deletion_protection off first.")


def restored(key: Key, version: Version, now: datetime) -> Version:
    """The version as it was before it was condemned.

    :raises Conflict: it is not going to be destroyed, it is too late, or the key as a whole is condemned.
    """
    if key.state != "enabled":
        raise Conflict(f"the key as a whole is {key.state}", hint="Restore the key.")
    return _restored(version, now)


def restored_key(key: Key, versions: Iterable[Version], now: datetime) -> tuple[Key, list[tuple[Version, Version]]]:
    """The key with all its condemned versions as they were before.

    :returns: the key, and its changed versions before and after.
    :raises Conflict: it is not going to be destroyed, or it is too late.
    """
    if key.destroy_at is None:
        raise Conflict("this key is destroyed" if key.destroyed else "this key is not pending destruction")
    if now >= key.destroy_at:
        raise Conflict("it is too late: the time of this key has come")
    alive = replace(key, destroy_at=None)
    again = []
    for version in versions:
        if version.destroy_at is not None and not _too_late(version, now):
            again.append((version, _restored(version, now)))
            alive = with_version(alive, again[-1][1])
    return alive, again


def _too_late(version: Version, now: datetime) -> bool:
    return version.destroy_at is not None and (now >= version.destroy_at or not version.blob)


def _restored(version: Version, now: datetime) -> Version:
    if version.destroy_at is None:
        raise Conflict(f"this version is {version.state} and not pending destruction")
    if _too_late(version, now):
        raise Conflict("it is too late: the time of this version has come")
    return replace(version, state=version.before or version.state, before=None, destroy_at=None)


def anything_due(key: Key, versions: Iterable[Version], now: datetime) -> bool:
    """Whether something of the key is to be destroyed by now."""
    dates = [key.destroy_at, *(version.destroy_at for version in versions)]
    return any(date is not None and date <= now for date in dates)


def wiped(version: Version, now: datetime) -> Version:
    """The version without its private key, if its time has come; it is not called destroyed before that is gone from
    the disk."""
    due = version.destroy_at is not None and version.destroy_at <= now
    return replace(version, blob=b"") if due and version.blob else version


def destroyed(version: Version, now: datetime) -> Version:
    """The version destroyed, if it was wiped; its public key stays."""
    if version.destroy_at is None or version.blob:
        return version
    state: State = "compromised" if version.state == "compromised" else "destroyed"
    return replace(version, state=state, before=None, destroy_at=None, destroyed=now)


def destroyed_key(key: Key, versions: Iterable[Version], now: datetime) -> Key:
    """The key destroyed, if it was condemned and nothing of it is left."""
    if key.destroy_at is None or key.destroy_at > now or not all(map(_gone, versions)):
        return key
    return replace(key, destroy_at=None, destroyed=now)
