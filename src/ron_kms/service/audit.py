"""What the service writes into the audit log, and when an answer waits for that.

An operation with a key is recorded once it has come to one: the key was found, and may do what is asked. What is
refused before that leaves no record. A batch makes one record for each version that it works with. A change is recorded
in its own transaction, on its way to the log; it is answered when it is there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple, TypeVar

from blake3 import blake3

from ron_kms.audit.record import Record, encode
from ron_kms.audit.tree import merkle_root
from ron_kms.custody.attestation import SOFTWARE
from ron_kms.errors import InvalidSignature, KmsError
from ron_kms.model import Caller, Kid, Version, new_uuid
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context
from ron_kms.service.work import Batch, Work
from ron_kms.store.database import Connection

T = TypeVar("T")

_ITSELF = Caller("service", frozenset())


class Fact(NamedTuple):
    """What a change is recorded as.

    :ivar version: the version concerned, where it is one.
    :ivar reason: what it was changed to, or why.
    """

    operation: str
    tenant: str | None = None
    kid: Kid | None = None
    version: Version | None = None
    reason: str | None = None


def record(kms: Kms, batches: Sequence[Batch]) -> asyncio.Future[None] | None:
    """Record batches that have ended.

    :returns: what their answers have to wait for; without an event loop it has happened.
    :raises StoreUnavailable: without an event loop, where it cannot be recorded.
    """
    trailing = [batch for batch in batches if batch.verb.trails] if kms.auditing.verify != "durable" else []
    if trailing and kms.auditing.verify == "relaxed":
        kms.gathered.trail(records_of(trailing))
    awaited = [batch for batch in batches if not batch.verb.trails] if trailing else batches
    records = records_of(awaited) if awaited else []
    if not records:
        return None
    trails = awaited[0].verb.trails
    if not kms.patient:
        written = kms.audit.append_async(records, kms.auditing.private)
        return _in_any_case(kms, records, written) if trails else written
    error = kms.audit.append(records, kms.auditing.private).exception()
    if error is not None:
        if not trails:
            raise error
        kms.gathered.trail(records)
    return None


def _in_any_case(kms: Kms, records: Sequence[bytes], written: asyncio.Future[None]) -> asyncio.Future[None]:
    """Done when the records are in the log, or when they cannot be now: then they follow, and verify goes on."""
    done: asyncio.Future[None] = written.get_loop().create_future()

    def end(written: asyncio.Future[None]) -> None:
        if written.exception() is not None:
            kms.gathered.trail(records)
        if not done.done():
            done.set_result(None)

    written.add_done_callback(end)
    return done


def records_of(batches: Sequence[Batch]) -> list[bytes]:
    """The records of batches that have ended."""
    now = time.time_ns() // 1000
    records = []
    for batch in batches:
        works = batch.works
        if len(works) == 1:
            if works[0].alg != "none":
                records.append(_record(batch, works, batch.verb.digest(works[0]), now))
            continue
        digest = batch.verb.digest
        for same in _by_key(works):
            digests = [digest(work) for work in same]
            records.append(_record(batch, same, digests[0] if len(same) == 1 else merkle_root(digests), now))
    return records


def _by_key(works: list[Work[Any]]) -> Iterable[list[Work[Any]]]:
    """The items that have come to a key, those of each version together."""
    by_key: dict[str, list[Work[Any]]] = {}
    last, same = None, []
    for work in works:
        if work.alg == "none":
            continue
        if work.entry is not last:
            last = work.entry
            same = by_key.setdefault(last.text, [])
        same.append(work)
    return by_key.values()


def _record(batch: Batch, works: Sequence[Work[Any]], digest: bytes, now: int) -> bytes:
    entry, context = works[0].entry, batch.context
    failures, result, reason = 0, "ok", None
    for work in () if len(works) > 1 and batch.sound else works:
        if isinstance(work.result, KmsError):
            code, why = work.result.code, None
        else:
            why = batch.verb.outcome(work.result)
            if why == "ok":
                continue
            code = InvalidSignature.code
        if not failures:
            result, reason = code, why
        failures += 1
    return encode(
        Record(
            context.op_id,
            context.request_id,
            entry.kid.tenant,
            context.caller.token_id,
            entry.text,
            batch.op,
            works[0].alg,
            digest,
            now,
            result,
            reason,
            SOFTWARE.kind,
            len(works),
            failures,
        )
    )


async def recorded(
    kms: Kms,
    context: Context,
    change: Callable[[Connection], T],
    fact: Callable[[T], Fact | None],
    made: Callable[[T], None] = lambda _: None,
) -> T:
    """Make a change in one transaction with its record, and wait until that is in the log.

    :param fact: what to record of it; None where nothing was changed.
    :param made: is told as soon as it is made.
    :raises StoreUnavailable: nothing can be recorded now. Where that came up after the change, it is made, and its
        record on its way.
    """
    kms.audit.require()

    def write(connection: Connection) -> tuple[T, Any]:
        result = change(connection)
        told = fact(result)
        return result, None if told is None else kms.audit.put(connection, fact_record(context, told))

    delivered: Future[None] = Future()
    delivered.set_running_or_notify_cancel()
    written = kms.database.write(write)
    # Whoever asked may be gone before it is made: its record is handed over all the same.
    written.add_done_callback(partial(_deliver, kms, delivered))
    result: T
    result, _ = await kms.wait(written)
    made(result)
    await kms.wait(delivered)
    return result


def _deliver(kms: Kms, delivered: Future[None], written: Future[Any]) -> None:
    """Have the record of a change in the log, once that is made; on the store's thread."""
    if written.cancelled() or written.exception() is not None:
        return
    waiting = written.result()[1]
    if waiting is None:
        delivered.set_result(None)
    else:
        kms.audit.deliver(waiting).add_done_callback(partial(_pass_on, delivered))


def _pass_on(delivered: Future[None], done: Future[None]) -> None:
    error = done.exception()
    if error is None:
        delivered.set_result(None)
    else:
        delivered.set_exception(error)


def by_itself() -> Context:
    """Who has something recorded that nobody has asked for now."""
    return Context(caller=_ITSELF, request_id=new_uuid())


def fact_record(context: Context, fact: Fact) -> bytes:
    """The record of a change."""
    version = fact.version
    kid = fact.kid if version is None or fact.kid is None else fact.kid.at(version.number)
    return encode(
        Record(
            op_id=context.op_id,
            request_id=context.request_id,
            tenant=fact.tenant if fact.kid is None else fact.kid.tenant,
            actor=context.caller.token_id,
            kid=None if kid is None else str(kid),
            operation=fact.operation,
            suite=None if version is None else version.suite,
            digest=None if version is None else blake3(b"".join(version.public)).digest(),
            time=time.time_ns() // 1000,
            result="ok",
            reason=fact.reason,
            attestation=SOFTWARE.kind,
            count=1,
            failures=0,
        )
    )
