"""The one cache of keys: public material and metadata, ready for use, by kid. Verify lives on it.

It holds no private material, sealed or not. A hit needs no store; misses of one request are read together, and what
several ask for at the same time is read once. What is absent is not remembered.

Neither liboqs nor libsodium takes a public key in an expanded form, so its bytes are what makes verify cheapest.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from typing import Any, NamedTuple

from ron_kms.errors import KmsError, StoreCorrupt
from ron_kms.keys.entry import Entry, entry_of, weight
from ron_kms.model import Key, Kid, Version
from ron_kms.store import changes
from ron_kms.store.database import Connection, Database
from ron_kms.store.flights import Flights
from ron_kms.store.horizon import Horizon
from ron_kms.store.keys import load_versions
from ron_kms.store.refresh import Refresher, boottime
from ron_kms.store.rows import Rows

__all__ = ["Bounds", "Counts", "Directory", "Entry", "Wait"]  # what it finds is named here for the floors above

Wait = Callable[[Future[Any]], Awaitable[Any]]
"""How a caller waits for the store's threads: on an event loop, or blocking in the library."""

_SWEPT = 1000
"""Entries that one sweep drops at most: a millisecond."""

_ROUND = 0.05
"""The part of the TTL in which every entry is looked at once."""


class Bounds(NamedTuple):
    """How much is kept, and for how long.

    :ivar entries: versions of keys.
    :ivar bytes: that they may take; a hybrid signing key takes about 2.8 KiB, an Ed25519 one 0.8.
    :ivar ttl: in seconds; an entry that is used after it is refreshed, and after twice as long it is used no more.
    """

    entries: int = 262_144
    bytes: int = 128 << 20
    ttl: float = 300.0


class Counts(NamedTuple):
    """What the cache has done so far, and how it stands.

    :ivar stale: entries that were still used and could not be refreshed within twice the TTL.
    :ivar failures: refreshing reads that have failed.
    :ivar age_ms: milliseconds since the oldest entry was read that is used, older than the TTL and not refreshed yet; 0
        where there is none. It goes on growing where such an entry was dropped, until the store is read again.
    :ivar stale_ms: the same where it is more than twice the TTL, else 0.
    :ivar failing: whether the last refreshing read has failed.
    """

    hits: int
    misses: int
    stale: int
    failures: int
    entries: int
    bytes: int
    stale_ms: int
    age_ms: int
    failing: bool

    @property
    def kept_up(self) -> bool:
        """Whether what is due can be refreshed, and nothing in use is older than twice the TTL."""
        return not self.failing and not self.stale_ms


class Directory:
    """Finds versions of keys by kid. Safe to use from several threads.

    The least recently used entry makes room. An entry that the horizon calls outdated is never given from memory, also
    where it was read before the change and entered after it. One that was used is read anew in the background once it
    is older than the TTL, and given meanwhile, also while the store is away; one older than twice the TTL is not given,
    and one that nobody uses is dropped at that age.
    """

    def __init__(
        self,
        database: Database,
        rows: Rows,
        wait: Wait,
        horizon: Horizon,
        bounds: Bounds = Bounds(),  # noqa: B008 - immutable
        clock: Callable[[], float] = boottime,
    ) -> None:
        self._rows = rows
        self._wait = wait
        self._horizon = horizon
        self._bounds = bounds
        self._ttl = bounds.ttl
        self._clock = clock
        self._entries: OrderedDict[Kid, Entry] = OrderedDict()  # the least recently used first
        self._versions: dict[str, tuple[Entry, ...]] = {}  # by uuid, the highest version first
        self._bytes = 0
        self._hits = self._misses = self._stale = 0
        self.swept = 0
        """Bytes that were let go of for their age, so far."""
        self._round: list[Kid] = []  # to be looked at still
        self._looked = clock()
        self._lock = threading.Lock()
        self._flights: Flights[Kid, Entry] = Flights(database, self._read, lambda: horizon.count)
        self._refresher: Refresher[Kid] = Refresher(database, self._renew, "cached keys", clock)
        horizon.on_change(self._forget)

    def cached(self, kid: Kid) -> Entry | None:
        """The entry if it is known already; a kid without a version means the newest."""
        entry = self._entries.get(kid) if kid.version is not None else self._newest(kid)
        if entry is None:
            return None
        if self._clock() - entry.read_at > self._ttl and not self._lasts(entry):
            return None
        if entry.seen < self._horizon.floor:
            self._raise(entry)
        self._hits += 1
        entry.used = True
        try:  # noqa: SIM105 - it costs more than all the rest
            self._entries.move_to_end(entry.kid)
        except KeyError:
            pass  # it has made room meanwhile
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
            self._misses += len(missing)
            found.update(await self._wait(self._flights.read(missing)))
        return found

    def current(self, entry: Entry) -> bool:
        """Whether nothing newer is known of this version than what the entry says."""
        return self._entries.get(entry.kid) is entry or not self._horizon.outdated(entry.kid.uuid, entry.seen)

    def remember(self, key: Key, version: Version, seen: int, *, now: float | None = None) -> Entry:
        """Enter what was read from the store or just written to it.

        :param seen: the number of the last change in the transaction that read or wrote it.
        :param now: when that was begun.
        :raises StoreCorrupt: the version's suite is not in this build.
        """
        entry = entry_of(key, version, seen, self._clock() if now is None else now)
        with self._lock:
            return self._enter(entry)

    def tend(self) -> Counts:
        """For once or twice a second: drop what nobody has used for long, and go on with what is to be refreshed."""
        now = self._clock()
        oldest = now - 2 * self._ttl
        with self._lock:
            for _ in range(_SWEPT):
                entry = next(iter(self._entries.values()), None)
                if entry is None or entry.read_at >= oldest:
                    break
                self._expire(entry)
            due = self._due(now)
        for entry in due:
            self._refresher.note(entry.kid, entry.read_at)
        self._refresher.drive()
        return self.counts()

    def counts(self) -> Counts:
        """See :class:`Counts`."""
        behind = self._refresher.behind()
        return Counts(
            hits=self._hits,
            misses=self._misses,
            stale=self._stale,
            failures=self._refresher.failures,
            entries=len(self._entries),
            bytes=self._bytes,
            stale_ms=int(behind * 1000) if behind > 2 * self._ttl else 0,
            age_ms=int(behind * 1000),
            failing=self._refresher.failing,
        )

    def use(self, bounds: Bounds) -> None:
        """From now on these hold."""
        with self._lock:
            self._bounds = bounds
            self._ttl = bounds.ttl
            self._make_room()

    def _newest(self, kid: Kid) -> Entry | None:
        versions = self._versions.get(kid.uuid)
        if versions is None:
            return None
        entry = versions[0]
        return entry if entry.newest and entry.kid[:2] == kid[:2] else None

    def _lasts(self, entry: Entry) -> bool:
        """Whether an entry older than the TTL may be given still; it is to be refreshed."""
        if self._clock() - entry.read_at > 2 * self._ttl:
            with self._lock:
                self._expire(entry)
            return False
        self._refresher.want(entry.kid, entry.read_at)
        return True

    def _due(self, now: float) -> list[Entry]:
        """Of the next part of all entries those that were used since they were read, longer ago than the TTL.

        Whoever finds one of that age has it refreshed too. But a key that is asked for less often must not be near its
        end either when the store goes away.
        """
        share = 1 + int(len(self._entries) * (now - self._looked) / (_ROUND * self._ttl))
        self._looked = now
        if not self._round:
            self._round = list(self._entries)
        part = self._round[-share:]
        del self._round[-share:]
        entries = (self._entries.get(kid) for kid in part)
        return [entry for entry in entries if entry is not None and entry.used and now - entry.read_at > self._ttl]

    def _raise(self, entry: Entry) -> None:
        """Whoever is still in place has outlived every change that was heard of, so it knows of them."""
        with self._lock:
            if self._entries.get(entry.kid) is entry:
                entry.seen = max(entry.seen, self._horizon.heard)

    def _enter(self, entry: Entry) -> Entry:
        """Put it in its place, unless something newer is known; the entry to be used."""
        if self._horizon.outdated(entry.kid.uuid, entry.seen):
            return entry
        known = self._entries.get(entry.kid)
        if known is not None:
            if known.says_as(entry):
                known.seen = max(known.seen, entry.seen)
                known.read_at = max(known.read_at, entry.read_at)
                known.used = False
                return known
            if known.seen > entry.seen:
                return entry
            self._remove(known)
        others = self._versions.get(entry.kid.uuid, ())
        for other in others:
            if entry.newest and other.newest and other.seen <= entry.seen:
                self._remove(other)  # it is not, any more
        others = self._versions.get(entry.kid.uuid, ())
        self._versions[entry.kid.uuid] = tuple(sorted((*others, entry), key=_number, reverse=True))
        self._entries[entry.kid] = entry
        self._bytes += weight(entry)
        self._make_room()
        return entry

    def _make_room(self) -> None:
        while len(self._entries) > self._bounds.entries or self._bytes > self._bounds.bytes:
            self._remove(next(iter(self._entries.values())))

    def _remove(self, entry: Entry) -> bool:
        """Let go of an entry; whether it was to be refreshed."""
        if self._entries.get(entry.kid) is not entry:
            return False
        del self._entries[entry.kid]
        self._bytes -= weight(entry)
        others = tuple(other for other in self._versions[entry.kid.uuid] if other is not entry)
        if others:
            self._versions[entry.kid.uuid] = others
        else:
            del self._versions[entry.kid.uuid]
        return self._refresher.drop(entry.kid)

    def _expire(self, entry: Entry) -> None:
        self.swept += weight(entry)
        if self._remove(entry) or self._refresher.failing:
            self._stale += 1

    def _forget(self, uuid: str | None) -> None:
        """The horizon has heard of a change to this key, or that any may have been changed."""
        with self._lock:
            for entry in list(self._entries.values()) if uuid is None else self._versions.get(uuid, ()):
                if self._horizon.outdated(entry.kid.uuid, entry.seen):
                    self._remove(entry)

    def _read(self, connection: Connection, kids: list[Kid]) -> dict[Kid, Entry | KmsError]:
        now = self._clock()
        seen = self._latest(connection)
        found: dict[Kid, Entry | KmsError] = {}
        for kid, pair in load_versions(connection, self._rows, kids).items():
            try:
                found[kid] = pair if isinstance(pair, StoreCorrupt) else self.remember(*pair, seen, now=now)
            except StoreCorrupt as error:
                found[kid] = error
        return found

    def _renew(self, connection: Connection, kids: list[Kid]) -> None:
        """Read entries anew; those that are gone or were edited are not used any more."""
        found = self._read(connection, kids)
        with self._lock:
            for kid in kids:
                entry = self._entries.get(kid)
                if entry is not None and not isinstance(found.get(kid), Entry):
                    self._remove(entry)

    def _latest(self, connection: Connection) -> int:
        try:
            return changes.latest(connection, self._rows)
        except StoreCorrupt:
            return 0  # private operations are refused for it elsewhere; others go on with what is known to be genuine


def _number(entry: Entry) -> int:
    return entry.kid.version or 0
