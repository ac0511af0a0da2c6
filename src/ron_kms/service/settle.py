"""What happens once for each batch, when each of its items has its result and before any of them is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ron_kms.errors import KmsError
from ron_kms.service.audit import record
from ron_kms.service.work import Batch


def settle(batches: Sequence[Batch]) -> asyncio.Future[None] | None:
    """What has to happen once for each batch, when each of its items has its result and before it is answered: it is
    counted and recorded.

    Called on the event loop (or, in the library, on the caller's thread) with all batches that end at the same time.
    They may be of one verb or of several.

    :returns: what their answers have to wait for besides, if anything.
    """
    metrics = batches[0].kms.metrics
    counts: dict[tuple[str, str, str], int] = {}
    for batch in batches:
        for work in batch.works:
            result = work.result
            outcome = result.code if isinstance(result, KmsError) else batch.verb.outcome(result)
            name = batch.op, work.alg, outcome
            counts[name] = counts.get(name, 0) + 1
            batch.context.alg = work.alg
        if len(batch.works) == 1 and work.alg != "none":
            batch.context.kid = work.entry.kid
        batch.context.counted = True
    for name, count in counts.items():
        metrics.done(*name, count)
    return record(batches[0].kms, batches)
