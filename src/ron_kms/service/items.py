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
from typing import Any, Generic, TypeVar

from msgspec import UNSET, UnsetType

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
from ron_kms.service.unsealing import equip, unseal
from ron_kms.service.work import PART, Batch, Item, Overtaken, Slice, Work, parts, value_of, waves

ItemT = TypeVar("ItemT", bound=Item)
Prepared = TypeVar("Prepared")
Result = TypeVar("Result")
T = TypeVar("T")


def _as_named(_: object, kid: Kid) -> Kid:
    return kid


def _as_policy_says(_: object, entry: Entry, policy: Policy) -> Mode:
    return mode_of(policy, entry.kid.uuid)


def _ok(_: object) -> str:
    return "ok"


def _nothing(_: object) -> tuple[Entry, ...]:
    return ()


@dataclass(frozen=True, eq=False)
class Verb(Generic[ItemT, Prepared, Result]):
    """What differs from verb to verb; for the engine, the group of all items of this verb.

    :ivar private: whether it works with private keys.
    :ivar prepare: checks that this version of the key may do it, and gives what ``compute`` needs; raises KmsError.
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
    trails: bool = False
    kid: Callable[[ItemT, Kid], Kid] = _as_named
    opens: bool = False
    fresh: bool = False
    also: Callable[[Prepared], Sequence[Entry]] = _nothing
    governed: Callable[[ItemT], bool] | None = None
    permit: Callable[[ItemT, Entry, Policy], Mode] = _as_policy_says
    outcome: Callable[[Result], str] = _ok

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
        named = []
        for item in items:
            work: Work[Prepared] = Work(item, batch.started)
            batch.works.append(work)
            try:
                work.kid = self.kid(item, authorised(context.caller, default if item.kid is UNSET else item.kid))
            except KmsError as error:
                work.fail(error)
            else:
                named.append(work)
        await self._attempt(batch, named)
        if batch.overtaken:
            again, batch.overtaken = batch.overtaken, []
            await self._attempt(batch, again)
            for work in batch.overtaken:
                work.fail(Overtaken())
        if not context.counted and (settled := settle([batch])):
            await settled
        return batch.works

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
        for work in works:
            entry = kms.directory.cached(work.kid)
            policy = kms.policies.cached(work.kid.tenant) if self.governed else None
            if entry is None or (self.governed and policy is None):
                late.append(work)
            elif self._prepare(work, entry, policy):
                (ready if not self.private or equip(kms, work) else late).append(work)
        return ready, late

    async def _read(self, batch: Batch, works: list[Work[Prepared]]) -> list[Work[Prepared]]:
        """Those of the items that may go to the core, with what the store has of them, read together."""
        entries, policies = await self._look_up(batch.kms, works)
        ready = [work for work in works if self._prepare(work, entries[work.kid], policies[work.kid.tenant])]
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

    def _prepare(self, work: Work[Prepared], entry: Entry | KmsError, policy: Policy | KmsError | None) -> bool:
        """Whether the item may do what it is to do with this version of the key, as far as is known now."""
        item: Any = work.item
        try:
            work.entry = _good(entry)
            work.prepared = self.prepare(item, work.entry)
            if self.governed and policy and self.governed(item):
                work.policy = _good(policy)
                work.mode = self.permit(item, work.entry, work.policy)
        except KmsError as error:
            work.fail(error)
            return False
        work.alg = work.entry.suite.name
        return True

    def _cut(self, kms: Kms, works: list[Work[Prepared]]) -> list[tuple[float, list[Work[Prepared]]]]:
        """The items in order, cut where a thread would be busy for too long."""
        slices = []
        piece: list[Work[Prepared]] = []
        micros = 0.0
        for work in works:
            cost = kms.costs[work.alg]
            size = self.size(work.prepared)
            more = cost.private + size * cost.private_byte if self.private else cost.public + size * cost.public_byte
            if piece and micros + more > SLICE_MICROS:
                slices.append((micros, piece))
                piece, micros = [], 0.0
            piece.append(work)
            micros += more
        if piece:
            slices.append((micros, piece))
        return slices

    def run(self, slices: Sequence[Slice[Prepared]], /) -> None:
        """Compute, but nothing that is not certain to be allowed still; on the thread that does it.

        :raises StoreUnavailable: the process is not fresh.
        """
        kms = slices[0][0].kms
        works = slices[0][1] if len(slices) == 1 else [work for _, piece in slices for work in piece]
        if self.private or self.fresh:
            kms.watcher.require()
            current = kms.directory.current
            works = [work for work in works if current(work.entry) and all(map(current, self.also(work.prepared)))]
        for work, result in zip(works, self.compute(works), strict=True):
            work.result = result
            if self.private:
                del work.slot

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


def _good(found: T | KmsError) -> T:
    if isinstance(found, KmsError):
        raise found
    return found
