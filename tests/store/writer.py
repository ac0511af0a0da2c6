"""A process that uses a store, for tests that need another one or one that can be killed.

writer.py <url> <seal> <what> [<how many>]
"""

from __future__ import annotations

import resource
import sys
import threading
from concurrent.futures import Future

from ron_kms.errors import StoreUnavailable
from ron_kms.store import changes
from ron_kms.store.bootstrap import Store, open_store


def record(store: Store, name: str) -> Future[int]:
    return store.database.write(lambda connection: changes.record(connection, store.rows, "key", name))


def identify(store: Store, count: int) -> None:
    """Tell which keys this process came to have."""
    print(store.keys.row_key.id)
    store.close()


def write(store: Store, count: int) -> None:
    """Write several at a time until done; tell each number once it is acknowledged."""
    for start in range(0, count, 5):
        for future in [record(store, f"{start + i}") for i in range(5)]:
            print(future.result(), flush=True)
    store.close()


def forget(store: Store, count: int) -> None:
    """End without closing and without waiting."""
    for n in range(count):
        record(store, f"{n}")


def fill(store: Store, count: int) -> None:
    """Have a commit fail for all that gathered in it, as on a full disk, and go on when there is room again."""
    wal = store.database.read(lambda connection: connection.exec_driver_sql("PRAGMA database_list").one()[2]).result()
    wal += "-wal"
    started, gate = threading.Event(), threading.Event()
    held = store.database.write(lambda connection: (started.set(), gate.wait(10)))
    started.wait(10)
    gathered = [record(store, "x" * 100_000), record(store, "small")]
    with open(wal, "rb") as file:  # noqa: PTH123
        size = file.seek(0, 2)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 8192, hard))
    gate.set()
    held.result()
    for future in gathered:
        error = future.exception()
        assert isinstance(error, StoreUnavailable), error
        assert error.retry_after, error
        print(error.message)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    print(record(store, "small").result())
    store.close()


if __name__ == "__main__":
    url, seal, what, *more = sys.argv[1:]
    {"identify": identify, "write": write, "forget": forget, "fill": fill}[what](
        open_store(url, seal), int(more[0]) if more else 0
    )
