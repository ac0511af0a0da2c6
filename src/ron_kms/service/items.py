"""The way of an item through the service, the same for every verb that works with a key.

A request is a :class:`~ron_kms.service.work.Batch` of items, a single one a batch of one. Each item is authorised,
looked up, prepared, given its private key and computed, and succeeds or fails by itself: an error takes the place of
its result and spoils no other. What is not in memory is read for many items together; where everything is, nothing on
the way waits but for the core.

A large batch is prepared in parts, one in a turn of the event loop, and computed in slices that small requests
overtake. In the core, slices of the same verb run together, whoever has asked for them (:mod:`ron_kms.engine.queue`).

Private operations are refused where the process is not fresh, when they begin and again right before the core runs; an
item whose key was changed between the two is looked up once more.

Batches whose last item has its result are settled (:mod:`ron_kms.service.settle`): all that end together in one call,
on the event loop, before any of their answers goes out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec import UNSET, UnsetType

from ron_kms._core import KeySlot
from ron_kms.crypto.signing import Mode
from ron_kms.engine.pace import Done
from ron_kms.engine.queue import SLICE_MICROS
from ron_kms.errors import BadRequest, KmsError
from ron_kms.keys.directory import Entry
from ron_kms.model import Caller, Kid, Policy
from ron_kms.policy.pq import mode_of
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context
from ron_kms.service.schema import does_not_open, no_such_key
from ron_kms.service.settle import settle
from ron_kms.service.unsealing import unseal
from ron_kms.service.work import PART, Batch, Item, Overtaken, Slice, Work, attempt, ok, parts, value_of, waves

ItemT = TypeVar("ItemT", bound=Item)
Prepared = TypeVar("Prepared")
Result = TypeVar("Result")
T = TypeVar("T")


def _as_named(_: object, kid: Kid) -> Kid:
    return kid


def _as_policy_says(_: object, entry: Entry, policy: Policy) -> Mode:
    return mode_of(policy, entry.kid.uuid)


def _to_anything(_: Entry) -> None:
    """Whatever there is to check is checked with the item."""


def _nothing(_: object) -> tuple[Entry, ...]:
    return ()


class _Found(NamedTuple):
    """What all items that mean one version of a key have in common, looked up once for those prepared together.

    :ivar entry: or why it cannot do what they ask.
    :ivar slot: None where it is not needed, or not in memory.
    """

    entry: Entry | KmsError
    policy: Policy | KmsError | None
    slot: KeySlot | None = None


@dataclass(frozen=True, eq=False)
class Verb(Generic[ItemT, Prepared, Result]):
    """What differs from verb to verb; for the engine, the group of all items of this verb.

    :ivar private: whether it works with private keys.
    :ivar admit: checks that this version of the key may do it, whatever the item, by its entry alone; raises KmsError.
    :ivar prepare: checks the rest, and gives what ``compute`` needs; raises KmsError.
    :ivar compute: does it for many items at once, one result an item; on a crypto thread where that pays.
    :ivar digest: what the audit log says of an item that has its result: 32 bytes over what was signed, or over the
        ciphertext.
    :ivar trails: whether its answers need not wait for their records, and go on where nothing can be recorded.
    :ivar size: how many bytes of an item are hashed or encrypted.
    :ivar kid: which version is meant, from the item and the kid that it names; raises KmsError.
    :ivar opens: whether that version comes out of a ciphertext; then one that a key never had is a ciphertext that does
        not open.
    :ivar fresh: whether it has to know of all changes though it needs no private key; verbs that need one always have.
    :ivar also: what it depends on besides the item's own entry.
    :ivar governed: for verbs of keys that sign, whether the tenant's post-quantum policy has a say in this item. The
        policy is looked up for all of them, so that it is at hand where keys are, also when the store is away later.
    :ivar permit: where it has, what it demands of the item; raises PolicyRefused.
    :ivar outcome: how a result is counted.
    """

    private: bool
    prepare: Callable[[ItemT, Entry], Prepared]
    compute: Callable[[list[Work[Prepared]]], Sequence[Result | KmsError]]
    size: Callable[[Prepared], int]
    digest: Callable[[Work[Prepared]], bytes]
    admit: Callable[[Entry], None] = _to_anything
    trails: bool = False
    kid: Callable[[ItemT, Kid], Kid] = _as_named
    opens: bool = False
    fresh: bool = False
    also: Callable[[Prepared], Sequence[Entry]] = _nothing
    governed: Callable[[ItemT], bool] | None = None
    permit: Callable[[ItemT, Entry, Policy], Mode] = _as_policy_says
    outcome: Callable[[Result], str] = ok

    async def one(self, kms: Kms, context: Context, op: str, item: ItemT) -> Result:
        """:raises KmsError: as it concerns this item."""
        [work] = await self.works(kms, context, op, (item,))
        result: Result = value_of(work)
        return result

    async def many(
        self, kms: Kms, context: Context, op: str, items: Sequence[ItemT], default: str | UnsetType = UNSET
    ) -> list[Result | KmsError]:
        """One result an item, in order; as :meth:`works`."""
        return [work.result for work in await self.works(kms, context, op, items, default)]

    async def works(
        self, kms: Kms, context: Context, op: str, items: Sequence[ItemT], default: str | UnsetType = UNSET
    ) -> list[Work[Prepared]]:
        """The items with their results, in order.

        :param default: the kid of items that have none.
        :raises StoreUnavailable: this is a private operation and the process is not fresh, or it cannot be recorded.
        :raises Backpressure: too much waits already.
        """
        if (self.private or self.fresh) and not kms.watcher.fresh():
            await kms.require_fresh()
        if not self.trails:
            kms.audit.require()
        if len(items) > PART:
            await kms.queue.turn()
        batch = Batch(self, kms, context, op)
        works: list[Work[Prepared]] = [Work(item, batch.started) for item in items]
        batch.works = works
        named = self._named(context.caller, works, default)
        if len(named) == 1 and (answer := self._straight(batch, named)):
            await answer
        elif named:
            await self._attempt(batch, [work for work in named if work.result is None])
        if batch.overtaken:
            again, batch.overtaken = batch.overtaken, []
            await self._attempt(batch, again)
            for work in batch.overtaken:
                work.fail(Overtaken())
        if not context.counted and (settled := settle([batch])):
            await settled
        return works

    def _named(self, caller: Caller, works: list[Work[Prepared]], default: str | UnsetType) -> list[Work[Prepared]]:
        """Those of the items that name a kid which the caller may use; each text is looked at once."""
        named = []
        kids: dict[str | UnsetType, Kid | KmsError] = {}
        meant = self.kid if self.kid is not _as_named else None
        for work in works:
            text = work.item.kid
            if text is UNSET:
                text = default
            kid = kids.get(text)
            if kid is None:
                kid = kids[text] = attempt(authorised, caller, text)
            if meant is not None and not isinstance(kid, KmsError):
                item: Any = work.item
                kid = attempt(meant, item, kid)
            if isinstance(kid, KmsError):
                work.fail(kid)
            else:
                work.kid = kid
                named.append(work)
        return named

    def _straight(self, batch: Batch, works: list[Work[Prepared]]) -> asyncio.Future[None] | Done | None:
        """Bring a single item to the core, where everything that it needs is in memory and nothing is wrong with it."""
        kms, [work] = batch.kms, works
        found = self._at_hand(kms, work.kid)
        if found is None or not self._prepare(work, found):
            return None
        if self.private:
            if found.slot is None:
                return None
            work.slot = found.slot
        batch.under_way = 1
        return kms.queue.submit(work.kid.tenant, self._micros(kms, work), self, (batch, works))

    async def _attempt(self, batch: Batch, works: list[Work[Prepared]]) -> None:
        """Bring items to the core and back."""
        kms = batch.kms
        batch.under_way = 1
        answers: list[asyncio.Future[None] | Done] = []
        try:
            for wave in waves(works, kms.custodian.wave) if self.private else (works,):
                while answers:
                    await answers.pop()
                for part in parts(wave):
                    if len(works) > PART:
                        await kms.queue.turn()
                    ready, late = self._recall(kms, part)
                    if late:
                        ready += await self._read(batch, late)
                    for micros, piece in self._cut(kms, ready):
                        batch.under_way += 1
                        answers.append(kms.queue.submit(piece[0].kid.tenant, micros, self, (batch, piece)))
            batch.under_way -= 1
            while answers:
                await answers.pop()
        except BaseException:
            for answer in answers:
                answer.cancel()
            raise

    def _recall(self, kms: Kms, works: list[Work[Prepared]]) -> tuple[list[Work[Prepared]], list[Work[Prepared]]]:
        """Those of the items that may go to the core, with everything that they need there, and those for which
        something of it is not in memory."""
        ready: list[Work[Prepared]] = []
        late: list[Work[Prepared]] = []
        known: dict[Kid, _Found | None] = {}
        for work in works:
            kid = work.kid
            if kid in known:
                found = known[kid]
            else:
                found = known[kid] = self._at_hand(kms, kid)
            if found is None:
                late.append(work)
            elif self._prepare(work, found):
                if not self.private:
                    ready.append(work)
                elif found.slot is None:
                    late.append(work)
                else:
                    work.slot = found.slot
                    ready.append(work)
        return ready, late

    def _at_hand(self, kms: Kms, kid: Kid) -> _Found | None:
        """What is in memory of a version; None where it is not, or the policy that has a say in it."""
        entry = kms.directory.cached(kid)
        policy = kms.policies.cached(kid.tenant) if self.governed else None
        if entry is None or (self.governed and policy is None):
            return None
        return self._admitted(entry, policy, kms.custodian.find(entry.kid) if self.private else None)

    def _admitted(
        self, entry: Entry | KmsError, policy: Policy | KmsError | None, slot: KeySlot | None = None
    ) -> _Found:
        if isinstance(entry, KmsError):
            return _Found(entry, policy)
        if self not in entry.admitted:
            try:
                self.admit(entry)
            except KmsError as error:
                return _Found(error, policy)
            entry.admitted = _with(entry.admitted, self)
        return _Found(entry, policy, slot)

    async def _read(self, batch: Batch, works: list[Work[Prepared]]) -> list[Work[Prepared]]:
        """Those of the items that may go to the core, with what the store has of them, read together."""
        kms = batch.kms
        entries, policies = await self._look_up(kms, works)
        found = {kid: self._admitted(entry, policies[kid.tenant]) for kid, entry in entries.items()}
        ready = [work for work in works if self._prepare(work, found[work.kid])]
        return await unseal(batch, ready) if self.private else ready

    async def _look_up(
        self, kms: Kms, works: list[Work[Prepared]]
    ) -> tuple[Mapping[Kid, Entry | KmsError], Mapping[str, Policy | KmsError | None]]:
        """What items work with, read together; an error stands for what cannot be."""
        kids = dict.fromkeys(work.kid for work in works)
        entries = await kms.directory.find(kids)
        absent = [kid for kid in kids if kid not in entries]
        if absent:
            keys = await kms.directory.find(kid.at(None) for kid in absent) if self.opens else {}
            entries |= {kid: does_not_open() if kid.at(None) in keys else no_such_key() for kid in absent}
        tenants = dict.fromkeys(kid.tenant for kid in kids)
        return entries, await kms.policies.find(tenants) if self.governed else tenants

    def _prepare(self, work: Work[Prepared], found: _Found) -> bool:
        """Whether the item may do what it is to do with this version of the key, as far as is known now."""
        item: Any = work.item
        entry, policy, _ = found
        try:
            if isinstance(entry, KmsError):
                raise entry
            work.entry = entry
            work.prepared = self.prepare(item, entry)
            if self.governed and policy and self.governed(item):
                work.policy = _good(policy)
                work.mode = self.permit(item, entry, work.policy)
        except KmsError as error:
            work.fail(error)
            return False
        work.alg = entry.suite.name
        return True

    def _cut(self, kms: Kms, works: list[Work[Prepared]]) -> list[tuple[float, list[Work[Prepared]]]]:
        """The items in order, cut where a thread would be busy for too long."""
        slices = []
        piece: list[Work[Prepared]] = []
        micros = 0.0
        for work in works:
            more = self._micros(kms, work)
            if piece and micros + more > SLICE_MICROS:
                slices.append((micros, piece))
                piece, micros = [], 0.0
            piece.append(work)
            micros += more
        if piece:
            slices.append((micros, piece))
        return slices

    def _micros(self, kms: Kms, work: Work[Prepared]) -> float:
        cost = kms.costs[work.alg]
        if self.private:
            return cost.private + self.size(work.prepared) * cost.private_byte
        return cost.public + self.size(work.prepared) * cost.public_byte

    def run(self, slices: Sequence[Slice[Prepared]], /) -> None:
        """Compute, but nothing that is not certain to be allowed still; on the thread that does it.

        :raises StoreUnavailable: the process is not fresh.
        """
        kms = slices[0][0].kms
        works = slices[0][1] if len(slices) == 1 else [work for _, piece in slices for work in piece]
        if self.private or self.fresh:
            kms.watcher.require()
            works = self._current(kms, works)
        for work, result in zip(works, self.compute(works), strict=True):
            work.result = result
            if self.private:
                del work.slot

    def _current(self, kms: Kms, works: list[Work[Prepared]]) -> list[Work[Prepared]]:
        """Those of the items for which nothing newer is known of any version that they work with."""
        current = kms.directory.current
        if self.also is _nothing:
            entries = {work.entry for work in works} if len(works) > 1 else (works[0].entry,)
            if all(map(current, entries)):
                return works
        return [work for work in works if current(work.entry) and all(map(current, self.also(work.prepared)))]

    def settle(self, slices: Sequence[Slice[Prepared]], /) -> asyncio.Future[None] | None:
        """Settle those batches of which nothing is under way any more."""
        ended = []
        for batch, piece in slices:
            batch.under_way -= 1
            for work in piece:
                if work.result is None:
                    batch.overtaken.append(work)
            if not batch.under_way and not batch.overtaken:
                ended.append(batch)
        return settle(ended) if ended else None


def authorised(caller: Caller, text: str | UnsetType) -> Kid:
    """The kid that an item names; decided by its name alone, before any look-up.

    :raises BadRequest: there is none, or not a valid one.
    :raises NotFound: the caller's token does not cover it.
    """
    if text is UNSET:
        raise BadRequest("the item has no kid, and neither has the batch")
    kid = Kid.parse(text)
    if not caller.may_use(kid):
        raise no_such_key()
    return kid


@cache
def _with(verbs: tuple[object, ...], verb: object) -> tuple[object, ...]:
    """The same few tuples for all entries, which are many."""
    return (*verbs, verb)


def _good(found: T | KmsError) -> T:
    if isinstance(found, KmsError):
        raise found
    return found
