"""The one cache of keys: public material and metadata, ready for use, by kid.

It holds no private material, sealed or not. A hit needs no store; misses of one request are read together.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from typing import Any, NamedTuple

from ron_kms.crypto.signing import VerifyKey
from ron_kms.crypto.suites import SUITES, Suite
from ron_kms.crypto.wrapping import WrapKey
from ron_kms.errors import KmsError, ServiceError, StoreCorrupt
from ron_kms.model import Key, Kid, State, Version
from ron_kms.store import changes
from ron_kms.store.database import Connection, Database
from ron_kms.store.horizon import Horizon
from ron_kms.store.keys import load_version
from ron_kms.store.rows import Rows

Wait = Callable[[Future[Any]], Awaitable[Any]]
"""How a caller waits for the store's threads: on an event loop, or blocking in the library."""

ENTRIES_MAX = 16_384
"""A hybrid entry takes 3 KiB, so a full directory 48 MiB."""


class Entry(NamedTuple):
    """One version of a key.

    :ivar kid: with its version.
    :ivar verify_key: of a key that signs.
    :ivar wrap_key: of a key that wraps.
    :ivar newest: whether this was the key's newest version when it was read.
    :ivar seen: the number of the last change that it can know of.
    :ivar read_at: when it was read from the store, in seconds of :func:`time.monotonic`.
    """

    kid: Kid
    key: Key
    suite: Suite
    state: State
    verify_key: VerifyKey | None
    wrap_key: WrapKey | None
    newest: bool
    seen: int
    read_at: float

    @property
    def age_ms(self) -> int:
        """Milliseconds since it was read from the store."""
        return int((time.monotonic() - self.read_at) * 1000)


class Directory:
    """Finds versions of keys by kid. Safe to use from several threads.

    At most ``bound`` entries are kept; the least recently used one makes room. An entry that the horizon calls outdated
    is never given from memory, also where it was read before the change and entered after it.
    """

    def __init__(self, database: Database, rows: Rows, wait: Wait, horizon: Horizon, bound: int = ENTRIES_MAX) -> None:
        self._database = database
        self._rows = rows
        self._wait = wait
        self._horizon = horizon
        self._bound = bound
        self._entries: OrderedDict[Kid, Entry] = OrderedDict()
        self._lock = threading.Lock()

    def cached(self, kid: Kid) -> Entry | None:
        """The entry if it is known already; a kid without a version means the newest."""
        with self._lock:
            entry = self._entries.get(kid)
            if entry is None:
                return None
            if self._horizon.outdated(kid.uuid, entry.seen):
                del self._entries[kid]
                return None
            self._entries.move_to_end(kid)
            return entry

    async def find(self, kids: Iterable[Kid]) -> dict[Kid, Entry | KmsError]:
        """Entries by the kids asked for; those that do not exist are left out, and an error stands for its kid alone.

        Where the store cannot be asked, that is the error of those kids which are not cached.
        """
        found: dict[Kid, Entry | KmsError] = {}
        missing: list[Kid] = []
        for kid in dict.fromkeys(kids):
            entry = self.cached(kid)
            if entry is None:
                missing.append(kid)
            else:
                found[kid] = entry
        if missing:
            try:
                found.update(await self._wait(self._database.read(lambda connection: self._read(connection, missing))))
            except ServiceError as error:
                found.update(dict.fromkeys(missing, error))
        return found

    def _read(self, connection: Connection, kids: list[Kid]) -> dict[Kid, Entry | KmsError]:
        now = time.monotonic()
        seen = self._latest(connection)
        found: dict[Kid, Entry | KmsError] = {}
        for kid in kids:
            try:
                row = load_version(connection, self._rows, kid)
            except StoreCorrupt as error:
                found[kid] = error
                continue
            if row is not None:
                found[kid] = self.remember(*row, seen, now=now)
        return found

    def _latest(self, connection: Connection) -> int:
        try:
            return changes.latest(connection, self._rows)
        except StoreCorrupt:
            return 0  # private operations are refused for it elsewhere; others go on with what is known to be genuine

    def remember(self, key: Key, version: Version, seen: int, *, now: float | None = None) -> Entry:
        """Enter what was read from the store or just written to it.

        :param seen: the number of the last change in the transaction that read or wrote it.
        :raises StoreCorrupt: the version's suite is not in this build.
        """
        suite = SUITES.get(version.suite)
        if suite is None:
            raise StoreCorrupt(f"key {key.uuid}#v{version.number} has a suite that this build does not know")
        entry = Entry(
            kid=key.kid.at(version.number),
            key=key,
            suite=suite,
            state=version.state,
            verify_key=VerifyKey(suite, version.public) if suite.use == "sign" else None,
            wrap_key=WrapKey(suite, version.public[0]) if suite.use == "wrap" else None,
            newest=version.number == key.newest,
            seen=seen,
            read_at=time.monotonic() if now is None else now,
        )
        with self._lock:
            for kid in (entry.kid, key.kid) if entry.newest else (entry.kid,):
                known = self._entries.get(kid)
                if known is None or known.seen <= seen:
                    self._entries[kid] = entry
            while len(self._entries) > self._bound:
                self._entries.popitem(last=False)
        return entry
