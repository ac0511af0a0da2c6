"""Operations a second: of a token, of a tenant, of the whole service.

Each is a token bucket that holds one second's worth, at least one operation, kept as a single moment: when all that was
taken will have come back (the generic cell rate algorithm, ITU-T I.371). What is larger than a bucket is let in when
the bucket is full and then paid off, so a batch of any size has its turn and the rate still holds in the long run.

Rates of tokens go by token id. Tokens with one id and different rates have been narrowed from one another, so what one
of them takes is also taken from every wider rate that was seen: narrowing a token again gains nothing, and a narrowed
token that is used up takes no more from the one it came from than its own rate.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, TypeVar

from ron_kms.engine.gate import party_of
from ron_kms.errors import RateLimited
from ron_kms.model import Caller

T = TypeVar("T")

BURST_SECONDS: Final = 1.0

RATES_OF_A_TOKEN: Final = 8
"""So many different rates of one token id are kept apart, the highest; a lower one is bounded by the lowest of them."""

_NOW: Final = 1e-9
"""A wait that is only rounding, in seconds."""

_Whose = Literal["token_rate", "tenant_rate", "service_rate"]


class RateLimits(NamedTuple):
    """Operations a second of the whole service, each of its workers having its part; 0 for no limit."""

    tenant: int = 0
    service: int = 0


class Rates:
    """One worker's buckets. Used by one thread; the least recently used go first when there are too many.

    :param workers: among how many all rates are divided.
    :param entries: tokens, and tenants, that are remembered.
    """

    def __init__(self, limits: RateLimits, *, workers: int = 1, entries: int = 16_384) -> None:
        self._workers = workers
        self._entries = entries
        self._tokens: OrderedDict[str, dict[int, _Bucket]] = OrderedDict()
        self._tenants: OrderedDict[str, _Bucket] = OrderedDict()
        self._service = _Bucket()
        self._limits = limits

    def apply(self, limits: RateLimits) -> None:
        """From now on these limits hold, for what was taken so far, too."""
        self._limits = limits

    def charge(self, caller: Caller, count: int, now: float, *, paid: int = 0) -> None:
        """Take ``count`` operations from every bucket that they concern, or from none.

        :param now: seconds of a clock that never goes back.
        :param paid: how many of the same request were taken before.
        :raises RateLimited: not now. ``retry_after`` is when the whole request would be let in.
        """
        if caller.rate is None and not any(self._limits):
            return
        due = [(whose, rate / self._workers, bucket) for whose, rate, bucket in self._concerned(caller, now)]
        wait, whose = max((bucket.wait(rate, count, paid, now), whose) for whose, rate, bucket in due)
        if wait > _NOW:
            raise RateLimited(
                f"more operations a second than the {_WORDS[whose]}",
                limit=whose,
                retry_after=max(1, math.ceil(wait - _NOW)),
            )
        for _, rate, bucket in due:
            bucket.take(rate, count, now)

    def _concerned(self, caller: Caller, now: float) -> Iterator[tuple[_Whose, int, _Bucket]]:
        if caller.rate is not None:
            for rate, bucket in self._known(caller.token_id, caller.rate, now).items():
                if rate >= caller.rate:
                    yield "token_rate", rate, bucket
        if self._limits.tenant:
            yield "tenant_rate", self._limits.tenant, self._of_tenant(party_of(caller))
        if self._limits.service:
            yield "service_rate", self._limits.service, self._service

    def _known(self, token_id: str, rate: int, now: float) -> dict[int, _Bucket]:
        known = self._tokens.get(token_id)
        if known is None:
            known = _remember(self._tokens, token_id, {}, self._entries)
        else:
            self._tokens.move_to_end(token_id)
        if rate not in known:
            # What was narrowed from it has been at work before it was seen itself.
            taken = max(((bucket.back - now) * other for other, bucket in known.items() if other < rate), default=0.0)
            known[rate] = _Bucket(now + taken / rate if taken > 0 else -math.inf)
            if len(known) > RATES_OF_A_TOKEN:
                del known[min(known)]
        return known

    def _of_tenant(self, party: str) -> _Bucket:
        bucket = self._tenants.get(party)
        if bucket is None:
            return _remember(self._tenants, party, _Bucket(), self._entries)
        self._tenants.move_to_end(party)
        return bucket


class _Bucket:
    """:ivar back: when all that was taken will have come back."""

    __slots__ = ("back",)

    def __init__(self, back: float = -math.inf) -> None:
        self.back = back

    def wait(self, rate: float, count: int, paid: int, now: float) -> float:
        """Seconds until a request of so many is let in as a whole; 0 where the rest of it is now."""
        burst = max(1.0, rate * BURST_SECONDS)
        whole = min(count + paid, burst)
        missing = max(0.0, self.back - now) * rate - burst
        return (missing + whole) / rate if missing + whole - paid > rate * _NOW else 0.0

    def take(self, rate: float, count: int, now: float) -> None:
        self.back = max(self.back, now) + count / rate


_WORDS: Final[dict[_Whose, str]] = {
    "token_rate": "token's rate allows",
    "tenant_rate": "service allows a tenant",
    "service_rate": "service allows in all",
}


def _remember(table: OrderedDict[str, T], name: str, fresh: T, entries: int) -> T:
    table[name] = fresh
    if len(table) > entries:
        table.popitem(last=False)
    return fresh
