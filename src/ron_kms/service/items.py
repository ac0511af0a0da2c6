"""What the verbs that work on items share: one kid an item or for the batch, authorised and looked up item by item."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from msgspec import UNSET, UnsetType

from ron_kms._core import KeySlot
from ron_kms.errors import BadRequest, KmsError, ServiceError
from ron_kms.keys.directory import Entry
from ron_kms.model import Caller, Kid
from ron_kms.service.kms import Kms
from ron_kms.service.schema import no_such_key
from ron_kms.store.database import Connection
from ron_kms.store.keys import load_version

T = TypeVar("T")
A = TypeVar("A")


def attempt(step: Callable[[A], T], argument: A) -> T | KmsError:
    """The result of a step, or its error as a value, so that one bad item spoils no other."""
    try:
        return step(argument)
    except KmsError as error:
        return error


def authorised(caller: Caller, own: str | UnsetType, batch: str | UnsetType = UNSET) -> Kid:
    """The kid of an item, which goes before that of its batch; decided by its name alone, before any look-up.

    :raises BadRequest: it has none, or not a valid one.
    :raises NotFound: the caller's token does not cover it.
    """
    text = own if own is not UNSET else batch
    if text is UNSET:
        raise BadRequest("the item has no kid, and neither has the batch")
    kid = Kid.parse(text)
    if not caller.may_use(kid):
        raise no_such_key()
    return kid


async def look_up(kms: Kms, kids: Iterable[Kid | KmsError]) -> Mapping[Kid, Entry | KmsError]:
    """The entries of those kids that were authorised."""
    return await kms.directory.find(kid for kid in kids if isinstance(kid, Kid))


def entry_of(kid: Kid | KmsError, entries: Mapping[Kid, Entry | KmsError]) -> Entry:
    """:raises KmsError: what went wrong with this item so far, or NotFound where the key does not exist."""
    entry = kid if isinstance(kid, KmsError) else entries.get(kid)
    if entry is None:
        raise no_such_key()
    if isinstance(entry, KmsError):
        raise entry
    return entry


async def unseal(kms: Kms, entries: Iterable[Entry]) -> Mapping[Kid, KeySlot | KmsError]:
    """The private keys of these versions; those not in memory are read and opened together, off the event loop.

    Where the store cannot be asked, that is the error of those which are not in memory.
    """
    kids = dict.fromkeys(entry.kid for entry in entries)
    slots: dict[Kid, KeySlot | KmsError] = {kid: slot for kid in kids if (slot := kms.custodian.find(kid)) is not None}
    sealed = [kid for kid in kids if kid not in slots]
    if sealed:
        try:
            slots.update(await kms.wait(kms.database.read(lambda connection: _read(kms, connection, sealed))))
        except ServiceError as error:
            slots.update(dict.fromkeys(sealed, error))
    return slots


def _read(kms: Kms, connection: Connection, kids: Iterable[Kid]) -> dict[Kid, KeySlot | KmsError]:
    def unsealed(kid: Kid) -> KeySlot:
        found = load_version(connection, kms.rows, kid)
        if found is None:
            raise no_such_key()
        return kms.custodian.unseal(kid, found[1])

    return {kid: attempt(unsealed, kid) for kid in kids}
