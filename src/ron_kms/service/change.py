"""What the verbs that change a key have in common: their precondition, and their transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from ron_kms.errors import BadRequest, PreconditionFailed
from ron_kms.model import Key, Kid, Version
from ron_kms.service.audit import Fact, recorded
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context
from ron_kms.service.schema import no_such_key
from ron_kms.store.database import Connection
from ron_kms.store.keys import Saved, load_key, load_version

T = TypeVar("T")


class Changed(NamedTuple, Generic[T]):
    """What to answer, and what was written; None where nothing was.

    :ivar version: the one that was changed, where it was one.
    :ivar reason: what it was changed to, for the audit log.
    """

    answer: T
    saved: Saved | None
    version: Version | None = None
    reason: str | None = None


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


async def commit(kms: Kms, context: Context, operation: str, kid: Kid, change: Change[T]) -> T:
    """Make the change in one transaction, with its record; from then on this process knows of it, and the others soon.

    :raises StoreUnavailable: it cannot be made, or not be recorded.
    """

    def known(changed: Changed[T]) -> None:
        if changed.saved is not None:
            kms.changed(kid, changed.saved.n)

    return (await recorded(kms, context, change, lambda changed: fact_of(operation, kid, changed), known)).answer


def fact_of(operation: str, kid: Kid, changed: Changed[Any]) -> Fact | None:
    """What a change to a key is recorded as; nothing where nothing was changed."""
    if changed.saved is None:
        return None
    return Fact(operation, kid=kid, version=changed.version, reason=changed.reason)


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
