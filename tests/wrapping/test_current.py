"""Nothing is wrapped for a version that this process knows, or has to fear, to be no longer good."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import UNSET

import ron_kms
from ron_kms.errors import KmsError, StoreUnavailable
from ron_kms.model import Caller, new_uuid
from ron_kms.service.local import LocalKms
from ron_kms.service.operation import Context
from ron_kms.service.unwrap import REWRAP, UnwrapItem, _moves


@pytest.fixture
def kms(tmp_path: Path) -> Iterator[LocalKms]:
    with ron_kms.open(f"sqlite:///{tmp_path}/keys.db", seal=f"keyfile:{tmp_path}/root.key") as opened:
        yield opened


def test_a_target_that_changed_meanwhile_is_not_used(kms: LocalKms) -> None:
    key = kms.create(tenant="core", purpose="data", use="wrap").partition("#")[0]
    wrapped = kms.wrap(key, plaintext=b"data key").wrapped
    kms.rotate(key)
    context = Context(Caller("t", frozenset()), new_uuid())

    async def overtaken() -> list[object]:
        moves = await _moves(kms._kms, context, [UnwrapItem(kid=key, wrapped=wrapped)], UNSET)
        kms.set_state(f"{key}#v2", "compromised")
        return list(await REWRAP.many(kms._kms, context, "rewrap", moves))

    [result] = asyncio.run(overtaken())
    assert isinstance(result, KmsError)
    with pytest.raises(ron_kms.KeyDisabled):
        kms.rewrap(key, wrapped)


def test_nothing_is_wrapped_by_a_process_that_cannot_know(kms: LocalKms, monkeypatch: pytest.MonkeyPatch) -> None:
    key = kms.create(tenant="core", purpose="data", use="wrap")
    kms.wrap(key, size=32)

    def old() -> None:
        raise StoreUnavailable("not fresh")

    monkeypatch.setattr(kms._kms.watcher, "require", old)
    with pytest.raises(StoreUnavailable):
        kms.wrap(key, size=32)
