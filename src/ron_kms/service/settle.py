"""What happens once for each batch, when each of its items has its result and before any of them is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from ron_kms.errors import KmsError, StoreUnavailable
from ron_kms.service.audit import record
from ron_kms.service.work import Batch


def settle(batches: Sequence[Batch]) -> asyncio.Future[None] | None:
    """What has to happen once for each batch, when each of its items has its result and before it is answered: it is
    recorded and, with what came of that, counted.

    Called on the event loop (or, in the library, on the caller's thread) with all batches of one verb that end at the
    same time.

    :returns: what their answers have to wait for besides, if anything.
    """
    written = record(batches[0].kms, batches)
    if written is None:
        _count(batches)
    else:
        written.add_done_callback(partial(_count, batches))
    return written


def _count(batches: Sequence[Batch], written: asyncio.Future[None] | None = None) -> None:
    """Count each item as it is answered: what could not be recorded is not answered with its result."""
    lost = written is not None and (written.cancelled() or written.exception() is not None)
    counts: dict[tuple[str, str, str], int] = {}
    for batch in batches:
        works, context = batch.works, batch.context
        if works:
            context.alg = works[-1].alg
            if len(works) == 1 and context.alg != "none":
                context.kid = works[0].entry.kid
        context.counted = True
        if len(works) > 1 and batch.sound and all(work.alg is context.alg for work in works):
            name = batch.op, context.alg, StoreUnavailable.code if lost else "ok"
            counts[name] = counts.get(name, 0) + len(works)
            continue
        for work in works:
            result = work.result
            outcome = result.code if isinstance(result, KmsError) else batch.verb.outcome(result)
            name = batch.op, work.alg, StoreUnavailable.code if lost else outcome
            counts[name] = counts.get(name, 0) + 1
    metrics = batches[0].kms.metrics
    for name, count in counts.items():
        metrics.done(*name, count)
