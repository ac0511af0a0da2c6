"""Private keys that are not in memory are read and opened: off the event loop, those of many items together."""

from __future__ import annotations

from collections.abc import Iterable

from ron_kms._core import KeySlot
from ron_kms.errors import KmsError, ServiceError
from ron_kms.keys.directory import Entry
from ron_kms.model import Kid
from ron_kms.service.kms import Kms
from ron_kms.service.schema import no_such_key
from ron_kms.service.work import Batch, Overtaken, Prepared, Work, attempt
from ron_kms.store.database import Connection
from ron_kms.store.keys import load_version


async def unseal(batch: Batch, works: list[Work[Prepared]]) -> list[Work[Prepared]]:
    """Give items their private keys, and return those that have them.

    Where the store cannot be asked, that is the error of each whose key is not in memory.
    """
    kms = batch.kms
    ready: list[Work[Prepared]] = []
    sealed: list[Work[Prepared]] = []
    for work in works:
        slot = kms.custodian.find(work.entry.kid)
        if slot is None:
            sealed.append(work)
        else:
            work.slot = slot
            ready.append(work)
    entries = {work.entry.kid: work.entry for work in sealed}
    slots: dict[Kid, KeySlot | KmsError] = {}
    if sealed:
        try:
            slots = await kms.wait(kms.database.read(lambda connection: _read_slots(kms, connection, entries.values())))
        except ServiceError as error:
            slots = dict.fromkeys(entries, error)
    for work in sealed:
        found = slots[work.entry.kid]
        if isinstance(found, KeySlot):
            work.slot = found
            ready.append(work)
        elif isinstance(found, Overtaken):
            batch.overtaken.append(work)
        else:
            work.fail(found)
    return ready


def _read_slots(kms: Kms, connection: Connection, entries: Iterable[Entry]) -> dict[Kid, KeySlot | KmsError]:
    def opened(entry: Entry) -> KeySlot:
        found = load_version(connection, kms.rows, entry.kid)
        if found is None:
            raise no_such_key()
        if found[1].state != entry.state:
            raise Overtaken
        return kms.custodian.unseal(entry.kid, found[1], entry.seen)

    return {entry.kid: attempt(opened, entry) for entry in entries}
