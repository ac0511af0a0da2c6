"""Tokens at the start: the administrator's first one, and what a worker checks tokens with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ron_kms._core import SecretKey
from ron_kms.capabilities.tokens import TokenChecker, mint_administrator
from ron_kms.keys.freshness import Watcher
from ron_kms.model import new_uuid
from ron_kms.server.data_dir import TOKEN, DataDirectory
from ron_kms.store.bootstrap import Store
from ron_kms.store.changes import Change
from ron_kms.store.tokens import TokenRoot, insert_token_root, load_token_roots


def first_token(store: Store, directory: DataDirectory) -> Path | None:
    """On the first start, make a root of tokens and write the administrator's token to a file; returns its path.

    The file comes first: after a crash in between, the store has no root, the token in the file is good for nothing,
    and the next start begins anew. A token that was deleted later is not made again: whoever took it away meant it.
    """
    sealing = store.keys.derive("token-roots")
    key = SecretKey.generate()
    try:
        known = store.database.read(lambda connection: load_token_roots(connection, store.rows, sealing)).result()
        for root in known:
            root.key.release()
        if known:
            return None
        fresh = TokenRoot(new_uuid(), key, datetime.now(UTC), None)
        directory.set_aside(TOKEN)
        path = directory.write_secret(TOKEN, mint_administrator(fresh.id, key) + "\n")
        store.database.write(lambda connection: insert_token_root(connection, store.rows, sealing, fresh)).result()
        return path
    finally:
        key.release()
        sealing.release()


class Tokens:
    """The token roots of one worker, as they are in the store, and the checker that knows them.

    :raises StoreCorrupt: a row was edited.
    """

    def __init__(self, store: Store, watcher: Watcher) -> None:
        self._store = store
        self._sealing = store.keys.derive("token-roots")
        self._roots: list[TokenRoot] = []
        self.checker = TokenChecker({})
        watcher.on("token-root", self._reload)

    def _reload(self, _: Sequence[Change]) -> None:
        # The keys before are only let go of: a check under way holds the one it works with, and the last wipes it.
        rows, sealing = self._store.rows, self._sealing
        self._roots = self._store.database.read(lambda connection: load_token_roots(connection, rows, sealing)).result()
        self.checker.replace_roots({root.id: root.key for root in self._roots if root.retired is None})

    def release(self) -> None:
        """Wipe the root keys."""
        for root in self._roots:
            root.key.release()
        self._sealing.release()
