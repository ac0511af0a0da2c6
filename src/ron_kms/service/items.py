"""The way of an item through the service, the same for every verb that works with a key.

A verb is authorised, looked up, prepared, unsealed and run for all items of a request together, and each item succeeds
or fails by itself: an error takes the place of its item and spoils no other. A single request is a batch of one.

Private operations are refused where the process is not fresh, when they begin and again right before the core runs; an
item whose key was changed between the two is looked up once more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, NamedTuple, ParamSpec, Protocol, TypeVar

from msgspec import UNSET, UnsetType

from ron_kms._core import KeySlot
from ron_kms.errors import BadRequest, Internal, KmsError, ServiceError, StoreUnavailable
from ron_kms.keys.directory import Entry
from ron_kms.model import Caller, Kid, Policy
from ron_kms.policy.cache import Found
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context
from ron_kms.service.schema import does_not_open, no_such_key
from ron_kms.store.database import Connection
from ron_kms.store.keys import load_version
from ron_kms.store.refresh import boottime


class Item(Protocol):
    """An item of any verb."""

    @property
    def kid(self) -> str | UnsetType: ...


ItemT = TypeVar("ItemT", bound=Item)
Prepared = TypeVar("Prepared")
Result = TypeVar("Result")
Params = ParamSpec("Params")
T = TypeVar("T")


class Work(NamedTuple, Generic[Prepared]):
    """One item, ready to be run.

    :ivar slot: the unsealed private key, for verbs that work with it.
    :ivar age_ms: how old the entry is, where it was known before this request.
    :ivar policy: the tenant's, for verbs and items that are governed by it.
    """

    entry: Entry
    prepared: Prepared
    slot: KeySlot | None
    age_ms: int | None
    policy: Policy | None

    @property
    def governed(self) -> Policy:
        """The tenant's policy."""
        if self.policy is None:
            raise Internal("a policy is needed and none was found")
        return self.policy

    @property
    def key(self) -> KeySlot:
        """The unsealed private key."""
        if self.slot is None:
            raise Internal("a private key is needed and none was unsealed")
        return self.slot


def _as_named(_: object, kid: Kid) -> Kid:
    return kid


def _any(_: object, __: Entry, ___: Policy) -> None:
    """Whatever policy says."""


def _ok(_: object) -> str:
    return "ok"


def _nothing(_: object) -> tuple[Entry, ...]:
    return ()


class _Ready(NamedTuple, Generic[Prepared]):
    entry: Entry
    prepared: Prepared
    policy: Policy | None


@dataclass(frozen=True)
class Verb(Generic[ItemT, Prepared, Result]):
    """What differs from verb to verb.

    :ivar private: whether it works with private keys.
    :ivar prepare: checks that this version of the key may do it, and gives what ``run`` needs; raises KmsError.
    :ivar run: does it for all items at once, one result an item; on a crypto thread where that pays.
    :ivar kid: which version is meant, from the item and the kid that it names; raises KmsError.
    :ivar opens: whether that version comes out of a ciphertext; then one that a key never had is a ciphertext that does
        not open.
    :ivar fresh: whether it has to know of all changes though it needs no private key; verbs that need one always have.
    :ivar also: what it depends on besides the item's own entry.
    :ivar governed: for verbs of keys that sign, whether the tenant's post-quantum policy has a say in this item. The
        policy is looked up for all of them, so that it is at hand where keys are, also when the store is away later.
    :ivar permit: where it has, whether it permits what the item asks for; raises PolicyRefused.
    :ivar outcome: how a result is counted.
    """

    private: bool
    prepare: Callable[[ItemT, Entry], Prepared]
    run: Callable[[list[Work[Prepared]]], Sequence[Result | KmsError]]
    kid: Callable[[ItemT, Kid], Kid] = _as_named
    opens: bool = False
    fresh: bool = False
    also: Callable[[Prepared], Sequence[Entry]] = _nothing
    governed: Callable[[ItemT], bool] | None = None
    permit: Callable[[ItemT, Entry, Policy], None] = _any
    outcome: Callable[[Result], str] = _ok

    async def one(self, kms: Kms, context: Context, op: str, item: ItemT) -> Result:
        """:raises KmsError: as it concerns this item."""
        [result] = await self.many(kms, context, op, [item])
        if isinstance(result, KmsError):
            raise result
        return result

    async def many(
        self, kms: Kms, context: Context, op: str, items: Sequence[ItemT], default: str | UnsetType = UNSET
    ) -> list[Result | KmsError]:
        """One result an item, in order.

        :param default: the kid of items that have none.
        :raises StoreUnavailable: something has to be read and the store cannot be asked, or this is a private operation
            and the process is not fresh.
        """
        if self.private or self.fresh:
            await kms.require_fresh()
        works, results = await self._attempt(kms, context, items, default)
        late = [i for i, result in enumerate(results) if isinstance(result, _Overtaken)]
        if late:
            again = await self._attempt(kms, context, [items[i] for i in late], default)
            for i, work, result in zip(late, *again, strict=True):
                works[i], results[i] = work, result
        self._count(kms, context, op, works, results)
        return results

    async def _attempt(
        self, kms: Kms, context: Context, items: Sequence[ItemT], default: str | UnsetType
    ) -> tuple[list[Work[Prepared] | KmsError], list[Result | KmsError]]:
        started = boottime()
        kids = [attempt(self._named, context.caller, item, default) for item in items]
        entries = await self._entries(kms, [kid for kid in kids if isinstance(kid, Kid)])
        policies = await self._policies(kms, kids)
        found = [attempt(self._prepared, item, kid, entries, policies) for item, kid in zip(items, kids, strict=True)]
        works: list[Work[Prepared] | KmsError] = []
        results: list[Result | KmsError] = []
        for wave in _waves(found, kms.custodian.wave) if self.private else [found]:
            slots = (
                await _unseal(kms, (pair.entry for pair in wave if isinstance(pair, _Ready))) if self.private else None
            )
            part = [attempt(_work, pair, slots, started) for pair in wave]
            ready = [work for work in part if isinstance(work, Work)]
            done = iter(await kms.queue.run(self._micros(kms, ready), partial(self._dispatch, kms, ready)))
            works += part
            results += [work if isinstance(work, KmsError) else next(done) for work in part]
        return works, results

    def _dispatch(self, kms: Kms, works: list[Work[Prepared]]) -> Sequence[Result | KmsError]:
        """Run, but nothing private that is not certain to be allowed still; on the thread that runs it."""
        if not (self.private or self.fresh):
            return self.run(works)
        kms.watcher.require()
        current = [
            all(kms.directory.current(used) for used in (work.entry, *self.also(work.prepared))) for work in works
        ]
        if all(current):
            return self.run(works)
        done = iter(self.run([work for work, good in zip(works, current, strict=True) if good]))
        return [next(done) if good else _Overtaken() for good in current]

    def _named(self, caller: Caller, item: ItemT, default: str | UnsetType) -> Kid:
        return self.kid(item, authorised(caller, item.kid if item.kid is not UNSET else default))

    async def _entries(self, kms: Kms, kids: list[Kid]) -> Mapping[Kid, Entry | KmsError]:
        entries = await kms.directory.find(kids)
        missing = [kid for kid in kids if kid not in entries] if self.opens else []
        if missing:
            keys = await kms.directory.find(kid.at(None) for kid in missing)
            entries.update((kid, does_not_open()) for kid in missing if kid.at(None) in keys)
        return entries

    async def _policies(self, kms: Kms, kids: Sequence[Kid | KmsError]) -> Found:
        if self.governed is None:
            return {}
        return await kms.policies.find({kid.tenant for kid in kids if isinstance(kid, Kid)})

    def _prepared(
        self, item: ItemT, kid: Kid | KmsError, entries: Mapping[Kid, Entry | KmsError], policies: Found
    ) -> _Ready[Prepared]:
        entry = kid if isinstance(kid, KmsError) else entries.get(kid)
        if entry is None:
            raise no_such_key()
        if isinstance(entry, KmsError):
            raise entry
        prepared = self.prepare(item, entry)
        if self.governed is None or not self.governed(item):
            return _Ready(entry, prepared, None)
        policy = policies[entry.kid.tenant]
        if isinstance(policy, KmsError):
            raise policy
        self.permit(item, entry, policy)
        return _Ready(entry, prepared, policy)

    def _micros(self, kms: Kms, works: list[Work[Prepared]]) -> float:
        costs = (kms.costs[work.entry.suite.name] for work in works)
        return sum(cost.private if self.private else cost.public for cost in costs)

    def _count(
        self,
        kms: Kms,
        context: Context,
        op: str,
        works: list[Work[Prepared] | KmsError],
        results: list[Result | KmsError],
    ) -> None:
        outcomes = Counter(
            (
                "none" if isinstance(work, KmsError) else work.entry.suite.name,
                result.code if isinstance(result, KmsError) else self.outcome(result),
            )
            for work, result in zip(works, results, strict=True)
        )
        for (alg, outcome), count in outcomes.items():
            kms.metrics.done(op, alg, outcome, count)
            context.alg = alg
        context.counted = True


class _Overtaken(StoreUnavailable):
    """The key was changed after it was looked up and before it was used."""

    def __init__(self) -> None:
        super().__init__("the key is being changed", retry_after=1)


def attempt(step: Callable[Params, T], *args: Params.args, **kwargs: Params.kwargs) -> T | KmsError:
    """The result of a step, or its error as a value."""
    try:
        return step(*args, **kwargs)
    except KmsError as error:
        return error


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


def _work(
    pair: _Ready[Prepared] | KmsError, slots: Mapping[Kid, KeySlot | KmsError] | None, started: float
) -> Work[Prepared]:
    if isinstance(pair, KmsError):
        raise pair
    entry, prepared, policy = pair
    slot = None if slots is None else slots[entry.kid]
    if isinstance(slot, KmsError):
        raise slot
    return Work(entry, prepared, slot, entry.age_ms if entry.read_at < started else None, policy)


def _waves(found: list[_Ready[Prepared] | KmsError], keys: int) -> Iterator[list[_Ready[Prepared] | KmsError]]:
    """The items in order, in parts that name at most so many keys: all keys of a part are unsealed at the same time."""
    part: list[_Ready[Prepared] | KmsError] = []
    named: set[Kid] = set()
    for pair in found:
        if isinstance(pair, _Ready):
            if len(named) == keys and pair.entry.kid not in named:
                yield part
                part, named = [], set()
            named.add(pair.entry.kid)
        part.append(pair)
    if part:
        yield part


async def _unseal(kms: Kms, entries: Iterable[Entry]) -> Mapping[Kid, KeySlot | KmsError]:
    """The private keys of these versions; those not in memory are read and opened together, off the event loop.

    Where the store cannot be asked, that is the error of those which are not in memory.
    """
    wanted = {entry.kid: entry for entry in entries}
    slots: dict[Kid, KeySlot | KmsError] = {
        kid: slot for kid in wanted if (slot := kms.custodian.find(kid)) is not None
    }
    sealed = [entry for kid, entry in wanted.items() if kid not in slots]
    if sealed:
        try:
            slots.update(await kms.wait(kms.database.read(lambda connection: _read(kms, connection, sealed))))
        except ServiceError as error:
            slots.update((entry.kid, error) for entry in sealed)
    return slots


def _read(kms: Kms, connection: Connection, entries: Iterable[Entry]) -> dict[Kid, KeySlot | KmsError]:
    def unsealed(entry: Entry) -> KeySlot:
        found = load_version(connection, kms.rows, entry.kid)
        if found is None:
            raise no_such_key()
        if found[1].state != entry.state:
            raise _Overtaken
        return kms.custodian.unseal(entry.kid, found[1], entry.seen)

    return {entry.kid: attempt(unsealed, entry) for entry in entries}
