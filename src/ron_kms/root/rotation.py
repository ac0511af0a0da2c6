"""A new root key takes its place without a moment in which a crash could lose the one that is in force.

It waits beside its place, as ``<name>.next``, from before the store names it until after. Whoever starts then looks
which of the two the store names (:func:`settle`). The one before is kept, as ``<name>.<its id>.old``, for backups that
were made under it.
"""

from __future__ import annotations

import glob
import os
from pathlib import Path

from ron_kms.disk import sync_path
from ron_kms.errors import ConfigurationError, RootKeyError
from ron_kms.root.handle import RootKey
from ron_kms.root.seal import Seal


def settle(place: Seal, root_id: str) -> Path | None:
    """Put the root key that the store names in its place, where it still waits beside it; any number of times.

    While nobody else does so for the same place: within a writing transaction of the store.

    :returns: where the root key before it is kept, if one was in its place.
    :raises RootKeyError: one of the two is not as it was made, or cannot be moved.
    """
    waiting = _waiting(place)
    if not os.path.lexists(waiting.path):
        return None
    before = place.identify()
    if before == root_id or waiting.identify() != root_id:
        return None
    target = waiting.path.with_name(place.path.resolve().name)
    aside = None if before is None else target.with_name(f"{target.name}.{before}.old")
    try:
        if aside is not None and not aside.exists():
            os.link(target, aside)
        waiting.path.replace(target)
        sync_path(target.parent)
    except OSError as error:
        raise RootKeyError(f"the {waiting} cannot be moved to its place: {error.strerror}") from None
    return aside


def keep_apart(current: Seal, target: Seal) -> None:
    """To be asked before anything else.

    :raises ConfigurationError: the new root key, in its place or waiting beside it, would be in the way of the one in
        force, or the other way round.
    """
    here, there = current.path.resolve(), target.path.resolve()
    if here == there:
        apart = current.name == target.name
    else:
        apart = here != _waiting(target).path and there != _waiting(current).path
    if not apart:
        raise ConfigurationError(
            "the new root key would be in the way of the one in force", hint="Name another file for it."
        )


def prepare_next(current: Seal, target: Seal) -> RootKey:
    """Make a root key that waits beside its place, on disk when this returns.

    :param current: where the root key in force rests, which the caller has proven; whatever waits beside ``target`` is
        a leftover then, and is taken away.
    :raises ConfigurationError: the place is taken.
    :raises RootKeyError: the root key cannot be kept safely.
    """
    there, waiting = target.path.resolve(), _waiting(target)
    if current.path.resolve() != there and os.path.lexists(there):
        raise ConfigurationError(
            f"there is a file at {there} already", hint="Name a file that is not there yet, or move this one away."
        )
    try:
        # A rotation that was killed while it wrote leaves a file of a passing name, which may hold a root key.
        for stray in waiting.path.parent.glob(f".{glob.escape(waiting.path.name)}.*"):
            stray.unlink(missing_ok=True)
        waiting.path.unlink(missing_ok=True)
    except OSError as error:
        raise RootKeyError(f"the {waiting} cannot be made: {error.strerror}") from None
    return waiting.create()


def _waiting(place: Seal) -> Seal:
    real = place.path.resolve()
    return place.at(real.with_name(f"{real.name}.next"))
