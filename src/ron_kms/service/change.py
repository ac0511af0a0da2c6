"""What the verbs that change a key have in common: their precondition, and their transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from ron_kms.errors import BadRequest, PreconditionFailed
from ron_kms.model import Key, Kid, Version
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context
from ron_kms.service.schema import no_such_key
from ron_kms.store.database import Connection
from ron_kms.store.keys import Saved, load_key, load_version

T = TypeVar("T")


class Changed(NamedTuple, Generic[T]):
    """What to answer, and what was written; None where nothing was."""

    answer: T
    saved: Saved | None


Change = Callable[[Connection], Changed[T]]
"""Makes a change in a transaction."""


def etag_of(key: Key) -> str:
    """The entity tag of a key, its versions included."""
    return str(key.revision)


def require_match(context: Context, key: Key) -> None:
    """:raises BadRequest: no ``If-Match`` was sent.
    :raises PreconditionFailed: the key has changed since the caller read it.
    """
    if context.if_match is None:
        raise BadRequest("this call needs If-Match", hint="Send the ETag that reading the key has answered.")
    if context.if_match not in ("*", etag_of(key)):
        raise PreconditionFailed("the key was changed since it was read")


async def commit(kms: Kms, kid: Kid, change: Change[T]) -> T:
    """Make the change in one transaction; from then on this process knows of it, and the others soon."""
    changed: Changed[T] = await kms.wait(kms.database.write(change))
    if changed.saved is not None:
        kms.changed(kid, changed.saved.n)
    return changed.answer


def existing(kms: Kms, connection: Connection, kid: Kid) -> tuple[Key, Version]:
    """One version of a key, the newest where the kid names none.

    :raises NotFound: there is none.
    """
    found = load_version(connection, kms.rows, kid)
    if found is None:
        raise no_such_key()
    return found


def existing_key(kms: Kms, connection: Connection, kid: Kid) -> tuple[Key, list[Version]]:
    """A key and all its versions.

    :raises NotFound: there is none.
    """
    found = load_key(connection, kms.rows, kid)
    if found is None:
        raise no_such_key()
    return found
