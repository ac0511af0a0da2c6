"""``op_id``: a change that a client repeats is made once, and answered as it was the first time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Generic, TypeVar

import msgspec
from blake3 import blake3
from msgspec import UNSET, UnsetType

from ron_kms.model import Kid
from ron_kms.service.change import Change, Changed
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context
from ron_kms.service.schema import Answer, Request
from ron_kms.store.database import Connection
from ron_kms.store.operations import OpId, find_answer, keep_answer

A = TypeVar("A", bound=Answer)


class Once(Generic[A]):
    """One request that may be a repetition; without an ``op_id`` it is none.

    :param kid: of the key concerned.
    :param op_id: scoped to tenant, token and verb, and good for 7 days.
    """

    def __init__(
        self,
        kms: Kms,
        context: Context,
        verb: str,
        kid: Kid,
        request: Request,
        op_id: str | UnsetType,
        answer: type[A],
    ) -> None:
        self._kms = kms
        self._op = None if op_id is UNSET else OpId(kid.tenant, context.caller.token_id, verb, op_id)
        fields = {name: value for name, value in msgspec.structs.asdict(request).items() if value is not UNSET}
        self._digest = blake3(msgspec.msgpack.encode(fields, order="deterministic")).digest()
        self._type = answer

    async def earlier(self) -> A | None:
        """What this request was answered before. To be asked first of all: the key may have changed since then so that
        the request itself would be refused.

        :raises Conflict: the ``op_id`` was used with other fields.
        """
        if self._op is None:
            return None
        found: A | None = await self._kms.wait(self._kms.database.read(self._find))
        return found

    def around(self, change: Change[A]) -> Change[A]:
        """The change with its answer kept in the same transaction; or the answer of one that has come in between."""

        def once(connection: Connection) -> Changed[A]:
            earlier = self._find(connection)
            if earlier is not None:
                return Changed(earlier, None)
            changed = change(connection)
            if self._op is not None:
                kept = msgspec.msgpack.encode(changed.answer)
                keep_answer(connection, self._kms.rows, self._op, self._digest, kept, datetime.now(UTC))
            return changed

        return once

    def _find(self, connection: Connection) -> A | None:
        if self._op is None:
            return None
        kept = find_answer(connection, self._kms.rows, self._op, self._digest, datetime.now(UTC))
        return None if kept is None else msgspec.msgpack.decode(kept, type=self._type)
