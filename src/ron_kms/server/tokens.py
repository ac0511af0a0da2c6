"""The administrator's token in the data folder: the first one, and another where it was lost."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from ron_kms._core import SecretKey
from ron_kms.audit.offline import note
from ron_kms.capabilities.caveats import SCOPES
from ron_kms.capabilities.tokens import mint_administrator
from ron_kms.model import new_uuid
from ron_kms.server.data_dir import TOKEN, DataDirectory
from ron_kms.store.bootstrap import Store
from ron_kms.store.database import Connection
from ron_kms.store.minted import Minted, insert_minted
from ron_kms.store.tokens import TokenRoot, after_all, insert_token_root, list_token_roots, retire_token_root

LABEL = "administrator"


def first_token(store: Store, directory: DataDirectory) -> Path | None:
    """On the first start, make a root of tokens and write the administrator's token to a file; returns its path.

    The file comes first: after a crash in between, the store has no root, the token in the file is good for nothing,
    and the next start begins anew. A token that was deleted later is not made again: whoever took it away meant it.
    """
    if store.database.read(lambda connection: list_token_roots(connection, store.rows)).result():
        return None
    fresh, minted = _fresh()
    sealing = store.keys.derive("token-roots")
    try:
        directory.set_aside(TOKEN)
        path = directory.write_secret(TOKEN, mint_administrator(fresh.id, fresh.key, minted.id) + "\n")

        def write(connection: Connection) -> None:
            _enter(connection, store, sealing, fresh, minted)
            note(connection, store.rows, "first-token", minted.id)

        store.database.write(write).result()
        return path
    finally:
        fresh.key.release()
        sealing.release()


def reset_tokens(store: Store, directory: DataDirectory, *, retire: bool) -> Path:
    """Make a new root of tokens and write a new administrator's token, signed by it, in the place of the one before.

    The store comes first: after a crash in between, the file is as it was, and this is done again.

    :param retire: whether no token of any other root is good any more.
    """
    fresh, minted = _fresh()
    sealing = store.keys.derive("token-roots")

    def write(connection: Connection) -> None:
        before = list_token_roots(connection, store.rows)
        now = after_all(connection, store.rows, fresh.created)
        _enter(connection, store, sealing, fresh._replace(created=now), minted._replace(created=now))
        for root in before if retire else ():
            retire_token_root(connection, store.rows, root.id, now)
        note(connection, store.rows, "reset-tokens", "tokens from before are ended" if retire else minted.id)

    try:
        store.database.write(write).result()
        directory.replace(TOKEN, mint_administrator(fresh.id, fresh.key, minted.id) + "\n")
        return directory.path / TOKEN
    finally:
        fresh.key.release()
        sealing.release()


def _fresh() -> tuple[TokenRoot, Minted]:
    now = datetime.now(UTC)
    root = TokenRoot(new_uuid(), SecretKey.generate(), now, None)
    return root, Minted(new_uuid(), (), SCOPES, None, None, root.id, "", LABEL, now)


def _enter(connection: Connection, store: Store, sealing: SecretKey, root: TokenRoot, minted: Minted) -> None:
    insert_token_root(connection, store.rows, sealing, root)
    insert_minted(connection, store.rows, minted)
