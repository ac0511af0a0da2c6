"""Who is let in: a bounded number of requests in flight for each class of operations, shared between tenants.

Below its floor a tenant is let in as long as the cap has room, however much the others want. The room of four floors is
kept for whoever comes next, but not more than a quarter of the cap; the rest is shared. Below its fair share, equal
parts of that rest, a tenant takes any place that is free. Above it, it borrows what others leave idle: as long as it
has less in flight than :data:`BORROW` times the places that stay free (dynamic thresholds, Choudhury and Hahne 1998).
So nearly nothing lies idle, a place that becomes free goes to those who have less, and nobody has to remember who asked
when.

Caps are ceilings. The working limit is the engine's estimated wait: whoever is above its floor is refused while what it
would ask for could not begin in time.
"""

from __future__ import annotations

import math
from typing import Final, Literal, NamedTuple, Protocol

from ron_kms.errors import Backpressure
from ron_kms.model import Caller

Class = Literal["sign", "verify", "wrap", "admin"]

CLASSES: Final[dict[str, Class]] = {
    "kms:sign": "sign",
    "kms:verify": "verify",
    "kms:wrap": "wrap",
    "kms:unwrap": "wrap",
    "kms:seal": "wrap",
    "kms:open": "wrap",
}
"""The class of operations that need a scope; all others are ``admin``."""

COMERS: Final = 4
"""So many tenants find room for their floors when those before them hold all that they may."""

BORROW: Final = 16
"""Above its fair share a tenant leaves one place in 17 free, and one more."""


class Waits(Protocol):
    """What the gate asks the engine."""

    def wait_micros(self, tenant: str | None, *, large: bool = False) -> float:
        """Estimated microseconds until work that comes now for this tenant, or for any, would begin.

        :param large: it is a slice of a batch.
        """


class Limits(NamedTuple):
    """Of the whole service; each of its workers has its part of the caps, at least one.

    :ivar sign: requests in flight of this class; so are ``verify``, ``wrap`` and ``admin``.
    :ivar share_min: per cent of a cap that a tenant is sure of, its floor.
    :ivar max_wait_ms: the working limit in milliseconds; 0 for caps alone. It does not hold for ``admin``: what an
        operator needs most under load computes least.
    """

    sign: int = 512
    verify: int = 1024
    wrap: int = 512
    admin: int = 256
    share_min: int = 5
    max_wait_ms: float = 5.0


class Gate:
    """One worker's gate: a lane for each class.

    :param queue: the engine whose estimated wait is the working limit.
    :param workers: among how many the caps are divided.
    """

    def __init__(self, limits: Limits, queue: Waits, *, workers: int = 1) -> None:
        self._workers = workers
        self.lanes: dict[Class, Lane] = {name: Lane(queue) for name in ("sign", "verify", "wrap", "admin")}
        self.apply(limits)

    def apply(self, limits: Limits) -> None:
        """From now on these limits hold; who is in flight stays."""
        for name, lane in self.lanes.items():
            lane.apply(
                cap=max(1, getattr(limits, name) // self._workers),
                share_min=limits.share_min,
                max_wait_ms=0.0 if name == "admin" else limits.max_wait_ms,
            )

    def lane(self, scope: str) -> Lane:
        """The lane of operations that need this scope."""
        return self.lanes[CLASSES.get(scope, "admin")]


class Lane:
    """One class of operations. Used by one thread; nothing here waits.

    Its table holds only who has something in flight, so the cap bounds it.
    """

    __slots__ = ("_cap", "_floor", "_inflight", "_max_wait", "_queue", "total")

    def __init__(self, queue: Waits) -> None:
        self._queue = queue
        self._inflight: dict[str, int] = {}
        self.total = 0

    def apply(self, *, cap: int, share_min: int, max_wait_ms: float) -> None:
        """Set the limits."""
        self._cap = cap
        self._floor = max(1, cap * share_min // 100) if share_min else 0
        self._max_wait = max_wait_ms * 1000

    def enter(self, caller: Caller, *, large: bool = False) -> str:
        """Let a request in, or not.

        :param large: it is a batch.
        :returns: the name that it counts under, for :meth:`leave`.
        :raises Backpressure: there is no room for it; nothing has changed.
        """
        party = party_of(caller)
        inflight = self._inflight
        mine = inflight.get(party, 0)
        room = self._cap - self.total
        floor = self._floor
        if room <= 0:
            raise self._full(party, large)
        active = len(inflight) + (mine == 0)
        if active * floor > self._cap:
            floor = self._cap // active
        if mine >= floor:
            kept = max(floor, min(COMERS * floor, self._cap // 4))
            free = room - kept
            if free <= 0 or (mine >= (self._cap - kept) // active and mine >= BORROW * (free - 1)):
                raise self._full(party, large)
            if self._max_wait and (wait := self._wait(party, large)) > self._max_wait:
                raise Backpressure("the wait would be too long", limit="max_wait", retry_after=_seconds(wait))
        inflight[party] = mine + 1
        self.total += 1
        return party

    def leave(self, party: str) -> None:
        """A request that was let in has its answer, or needs none."""
        mine = self._inflight[party]
        if mine == 1:
            del self._inflight[party]
        else:
            self._inflight[party] = mine - 1
        self.total -= 1

    def inflight(self, party: str) -> int:
        """How many of its requests are in flight."""
        return self._inflight.get(party, 0)

    def _full(self, party: str, large: bool) -> Backpressure:
        wait = self._wait(party, large)
        return Backpressure("too many requests are in flight", limit="max_inflight", retry_after=_seconds(wait))

    def _wait(self, party: str, large: bool) -> float:
        """A party that is no tenant learns of no tenant's queue."""
        return self._queue.wait_micros(None if party[0] == "/" else party, large=large)


def _seconds(micros: float) -> int:
    return max(1, math.ceil(micros / 1e6))


def party_of(caller: Caller) -> str:
    """Who shares with whom: the tenant that the token is bound to, else the token by itself.

    A token that was narrowed to another tenant than its own covers nothing, and is not that tenant's: whoever holds
    one could use up what is theirs. No tenant's name has a slash, so none is taken for a token.
    """
    tenant = caller.tenant
    if tenant is None or (caller.prefixes and any(prefix[0] != tenant for prefix in caller.prefixes)):
        return f"/{caller.token_id}"
    return tenant
