"""Tokens at the start: the administrator's first one, and what a worker checks tokens with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from ron_kms._core import SecretKey
from ron_kms.capabilities.tokens import TokenChecker, mint_administrator
from ron_kms.model import new_uuid
from ron_kms.server.data_dir import TOKEN, DataDirectory
from ron_kms.store.bootstrap import Store
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
    """The token roots of one worker.

    :raises StoreCorrupt: a row was edited.
    """

    def __init__(self, store: Store) -> None:
        sealing = store.keys.derive("token-roots")
        try:
            self._roots = store.database.read(
                lambda connection: load_token_roots(connection, store.rows, sealing)
            ).result()
        finally:
            sealing.release()
        self.checker = TokenChecker({root.id: root.key for root in self._roots if root.retired is None})

    def release(self) -> None:
        """Wipe the root keys."""
        for root in self._roots:
            root.key.release()
