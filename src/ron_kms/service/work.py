"""What is on its way through the service: a batch of items, one request's, and how large ones are cut.

See :mod:`ron_kms.service.items` for the way itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from msgspec import UnsetType

from ron_kms._core import KeySlot
from ron_kms.crypto.signing import Mode
from ron_kms.errors import KmsError, StoreUnavailable
from ron_kms.keys.directory import Entry
from ron_kms.model import Kid, Policy
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context
from ron_kms.store.refresh import boottime

PART = 128
"""Items that are prepared in one turn of the event loop: some half a millisecond."""

Prepared = TypeVar("Prepared")
Params = ParamSpec("Params")
T = TypeVar("T")


class Item(Protocol):
    """An item of any verb."""

    @property
    def kid(self) -> str | UnsetType: ...


def ok(_: object) -> str:
    """How a result is counted where there is one kind of it."""
    return "ok"


class Kind(Protocol):
    """What a batch knows of its verb."""

    @property
    def outcome(self) -> Callable[[Any], str]: ...
    @property
    def digest(self) -> Callable[[Any], bytes]: ...
    @property
    def trails(self) -> bool: ...


class Batch:
    """The items of one request. Nothing refers back to it, so that it goes as soon as it is answered.

    :ivar op: what the request is counted as.
    :ivar works: its items, in order.
    :ivar under_way: how many slices of it are in the engine, and one more while others are prepared.
    :ivar overtaken: those whose key was changed on the way.
    :ivar started: in seconds of CLOCK_BOOTTIME.
    """

    __slots__ = ("context", "kms", "op", "overtaken", "started", "under_way", "verb", "works")

    def __init__(self, verb: Kind, kms: Kms, context: Context, op: str) -> None:
        self.verb = verb
        self.kms = kms
        self.context = context
        self.op = op
        self.works: list[Work[Any]] = []
        self.under_way = 0
        self.overtaken: list[Work[Any]] = []
        self.started = boottime()

    @property
    def sound(self) -> bool:
        """Whether every item has come to its result, and there is one kind of it."""
        return self.verb.outcome is ok and not any(
            issubclass(kind, KmsError) for kind in {type(work.result) for work in self.works}
        )


class Work(Generic[Prepared]):
    """One item on its way. What is not known of it yet is not there.

    :ivar since: when its request began.
    :ivar kid: the version that is meant; without its number it means the newest.
    :ivar entry: the version that it works with.
    :ivar alg: that version's suite, as metrics name it.
    :ivar slot: the unsealed private key, for verbs that work with it, until they have.
    :ivar policy: the tenant's, for verbs and items that are governed by it; ``mode`` is what it demands of this one.
    :ivar result: what came of it, or its error; None on the way.
    """

    __slots__ = ("alg", "entry", "item", "kid", "mode", "policy", "prepared", "result", "since", "slot")
    kid: Kid
    entry: Entry
    prepared: Prepared
    slot: KeySlot
    policy: Policy
    mode: Mode

    def __init__(self, item: Item, since: float) -> None:
        self.item = item
        self.since = since
        self.alg = "none"
        self.result: Any = None

    @property
    def age_ms(self) -> int | None:
        """How old the entry is, where it was known before this request."""
        return self.entry.age_ms if self.entry.read_at < self.since else None

    def fail(self, error: KmsError) -> None:
        """That is its result."""
        self.result = error.with_traceback(None)  # which would refer back to it


Slice = tuple[Batch, list[Work[Prepared]]]
"""Items of one batch that go to the core together."""


class Overtaken(StoreUnavailable):
    """The key was changed after it was looked up and before it was used."""

    def __init__(self) -> None:
        super().__init__("the key is being changed", retry_after=1)


def value_of(work: Work[Any]) -> Any:
    """:raises KmsError: its result is an error."""
    if isinstance(work.result, KmsError):
        raise work.result
    return work.result


def attempt(step: Callable[Params, T], *args: Params.args, **kwargs: Params.kwargs) -> T | KmsError:
    """The result of a step, or its error as a value."""
    try:
        return step(*args, **kwargs)
    except KmsError as error:
        return error


def waves(works: list[Work[Prepared]], keys: int) -> list[list[Work[Prepared]]]:
    """The items in order, cut so that at most so many keys are named in each: those are unsealed at the same time."""
    if len(works) <= keys:
        return [works]
    cut: list[list[Work[Prepared]]] = []
    named: set[Kid] = set()
    for work in works:
        if not cut or (len(named) == keys and work.kid not in named):
            cut.append([])
            named = set()
        named.add(work.kid)
        cut[-1].append(work)
    return cut


def parts(works: list[Work[Prepared]]) -> list[list[Work[Prepared]]]:
    """The items in order, cut into what is prepared in one turn of the event loop."""
    if len(works) <= PART:
        return [works]
    return [works[start : start + PART] for start in range(0, len(works), PART)]
