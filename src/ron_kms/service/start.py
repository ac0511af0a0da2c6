"""From an attached store to the opened service."""

from __future__ import annotations

from ron_kms.custody.core import Custodian
from ron_kms.engine.costs import measure
from ron_kms.engine.queue import CryptoQueue
from ron_kms.keys.directory import Wait
from ron_kms.metrics import Metrics
from ron_kms.service.kms import Kms
from ron_kms.store.bootstrap import Store

KEY_SLOTS = 1024


def start(store: Store, *, metrics: Metrics, wait: Wait, threads: int, key_slots: int = KEY_SLOTS) -> Kms:
    """Put the floors together for one process; the service takes the store over and closes it.

    :param threads: crypto threads, 0 where callers wait anyway.
    :param key_slots: private keys unsealed at a time.
    :raises ConfigurationError: too little memory can be locked.
    """
    return Kms(
        database=store.database,
        rows=store.rows,
        custodian=Custodian(store.keys, key_slots),
        queue=CryptoQueue(threads),
        metrics=metrics,
        wait=wait,
        costs=measure(),
    )
