"""The opened service: everything that the use cases work with."""

from __future__ import annotations

from typing import Self

from ron_kms.custody.core import Custodian
from ron_kms.engine.costs import Cost
from ron_kms.engine.queue import CryptoQueue
from ron_kms.keys.directory import Directory, Wait
from ron_kms.metrics import Metrics
from ron_kms.store.database import Database
from ron_kms.store.rows import Rows


class Kms:
    """Store, custody, directory and engine of one process.

    :param wait: how this process waits for the store's threads.
    :param costs: microseconds a suite, as :func:`ron_kms.engine.costs.measure` found them.
    """

    def __init__(
        self,
        *,
        database: Database,
        rows: Rows,
        custodian: Custodian,
        queue: CryptoQueue,
        metrics: Metrics,
        wait: Wait,
        costs: dict[str, Cost],
    ) -> None:
        self.database = database
        self.rows = rows
        self.custodian = custodian
        self.queue = queue
        self.metrics = metrics
        self.wait = wait
        self.costs = costs
        self.directory = Directory(database, rows, wait)

    def close(self) -> None:
        """End running work, close the store and wipe every key."""
        self.queue.close()
        self.database.close()
        self.custodian.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
