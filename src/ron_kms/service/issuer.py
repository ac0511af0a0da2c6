"""The roots of tokens in one process: what it mints with, what it checks with, and what was revoked."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from ron_kms._core import SecretKey
from ron_kms.capabilities import tokens
from ron_kms.capabilities.tokens import TokenChecker
from ron_kms.errors import Conflict
from ron_kms.keys.freshness import Watcher
from ron_kms.store.bootstrap import Store
from ron_kms.store.changes import Change
from ron_kms.store.revocations import load_revocations, read_change
from ron_kms.store.tokens import TokenRoot, load_token_roots


class _Signing(NamedTuple):
    """The newest root, which signs what is minted."""

    id: str
    key: SecretKey


class Issuer:
    """The token roots and revocations as they are in the store, and the checker that knows them.

    :raises StoreCorrupt: a row was edited or taken out.
    """

    def __init__(self, store: Store, watcher: Watcher) -> None:
        self._store = store
        self._roots: list[TokenRoot] = []
        self._signing: _Signing | None = None
        self.checker = TokenChecker({})
        watcher.on("token-root", self._reload)
        watcher.on("token", self._revoked)

    def mint(
        self,
        token_id: str,
        *,
        scopes: Iterable[str],
        reach: tuple[str, ...],
        expires: datetime | None,
        rate: int | None,
    ) -> tuple[str, str]:
        """A new token and the id of the newest root, which signs it.

        :param reach: the segments of kids that it covers; none for all.
        :raises Conflict: there is no root: this store was never served.
        """
        signing = self._signing
        if signing is None:
            raise Conflict("there is no root of tokens", hint="Start the service once: it makes the first one.")
        token = tokens.mint(
            signing.id,
            signing.key,
            scopes=scopes,
            tenant=reach[0] if reach else None,
            prefix="/".join(reach) if len(reach) > 1 else None,
            expires=expires,
            rate=rate,
            token_id=token_id,
        )
        return token, signing.id

    @contextmanager
    def sealing(self) -> Iterator[SecretKey]:
        """The key under which roots are sealed, for as long as it is needed."""
        key = self._store.keys.derive("token-roots")
        try:
            yield key
        finally:
            key.release()

    def _reload(self, _: Sequence[Change]) -> None:
        # The keys before are only let go of: a check under way holds the one it works with, and the last wipes it.
        store = self._store
        with self.sealing() as sealing:
            self._roots = store.database.read(lambda it: load_token_roots(it, store.rows, sealing)).result()
        for root in self._roots:
            if root.retired is not None:
                root.key.release()
        live = {root.id: root.key for root in self._roots if root.retired is None}
        self._signing = _Signing(*list(live.items())[-1]) if live else None
        self.checker.replace_roots(live)

    def _revoked(self, changed: Sequence[Change]) -> None:
        """What a change says is all that is needed, so that one more costs the same among 100,000."""
        if changed:
            self.checker.revoke(dict(read_change(change.id) for change in changed), time.time())
            return
        rows = self._store.rows
        known = self._store.database.read(lambda connection: load_revocations(connection, rows)).result()
        self.checker.replace_revoked(known)

    def release(self) -> None:
        """Wipe the root keys."""
        for root in self._roots:
            root.key.release()
