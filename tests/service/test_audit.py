"""What each operation leaves in the audit log, and what it does where nothing can be recorded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

import ron_kms
from ron_kms.audit.folder import LogFolder
from ron_kms.audit.journal import read_segments
from ron_kms.audit.record import Record, decode
from ron_kms.audit.tree import merkle_root
from ron_kms.capabilities.caveats import ALL_SCOPES
from ron_kms.errors import BadRequest, KeyDisabled, NotFound, StoreUnavailable
from ron_kms.model import Caller, Kid, new_uuid
from ron_kms.service.audit import Fact, by_itself, recorded
from ron_kms.service.kms import AuditSettings
from ron_kms.service.local import LocalKms
from ron_kms.store.database import Connection
from tests.service.place import act

DIGEST = blake3(b"payload").digest()


class Log:
    """A store of keys, and what its log has since it was last asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.kms = LocalKms(f"sqlite:///{folder}/keys.db", seal=f"keyfile:{folder}/root.key")
        self._read = 0

    def new(self) -> list[Record]:
        self.kms._kms.gathered.flush()
        audit: Any = self.kms._kms.audit
        audit.append(()).result()
        records = [
            decode(record)
            for segment in read_segments(audit.log.folder.journal)
            for group in segment.groups
            for record in group.records
        ]
        found, self._read = records[self._read :], len(records)
        return found

    def one(self) -> Record:
        [record] = self.new()
        return record


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path)
    yield log
    log.kms.close()


def publics(log: Log, kid: str) -> bytes:
    version = next(item for item in log.kms.get(kid).versions if item.kid == kid)
    return blake3(b"".join(key.public_key for key in version.public)).digest()


def test_changes(log: Log) -> None:
    kms = log.kms
    op_id = new_uuid()
    kid = kms.create(tenant="acme", purpose="audit", suite="ed25519", op_id=op_id)
    made = log.one()
    assert (made.operation, made.kid, made.tenant, made.suite) == ("create", kid, "acme", "ed25519")
    assert (made.actor, made.result, made.attestation, made.count) == ("local", "ok", "none", 1)
    assert made.digest == publics(log, kid)
    assert kms.create(tenant="acme", purpose="audit", suite="ed25519", op_id=op_id) == kid
    assert log.new() == []
    name = str(Kid.parse(kid).at(None))
    second = kms.rotate(name, suite="hybrid").kid
    made = log.one()
    assert (made.operation, made.kid, made.suite) == ("rotate", second, "ed25519+ml-dsa-65")
    assert made.digest == publics(log, second)
    kms.update(name, labels={"team": "blue"}, rotation_period=3600)
    made = log.one()
    assert (made.operation, made.kid, made.reason) == ("update-key", name, "labels rotation_period")
    kms.update(name, labels={"team": "blue"})
    assert log.new() == []
    kms.set_state(kid, "disabled")
    made = log.one()
    assert (made.operation, made.kid, made.reason) == ("update-version", kid, "disabled")
    kms.destroy(kid)
    kms.restore(kid)
    kms.destroy(name)
    kms.restore(name)
    assert [(made.operation, made.kid) for made in log.new()] == [
        ("destroy-version", kid),
        ("restore-version", kid),
        ("destroy-key", name),
        ("restore-key", name),
    ]
    kms.set_policy("acme", phase=2)
    made = log.one()
    assert (made.operation, made.tenant, made.kid, made.reason) == ("put-policy", "acme", None, "phase 2, 100 percent")


def test_a_change_is_recorded_though_nobody_waits_for_it_any_more(log: Log) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def change(_: Connection) -> None:
        begun.set()
        assert go_on.wait(30)

    async def leave() -> None:
        kms = log.kms._kms
        kms.wait = _on_the_loop
        asking = asyncio.create_task(recorded(kms, by_itself(), change, lambda _: Fact("rotate", "acme")))
        assert await asyncio.to_thread(begun.wait, 30)
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()
        go_on.set()
        await _on_the_loop(kms.database.write(lambda _: None))

    asyncio.run(leave())
    made = log.one()
    assert (made.operation, made.tenant) == ("rotate", "acme")


async def _on_the_loop(future: Future[Any]) -> Any:
    return await asyncio.wrap_future(future)


def test_tokens_and_their_roots(log: Log) -> None:
    by = Caller(new_uuid(), ALL_SCOPES)
    roots = [act(log.kms, by, "rotate-token-root").id for _ in range(2)]
    told = [(made.operation, made.tenant, made.reason, made.actor) for made in log.new()]
    assert told == [("rotate-token-root", None, root, by.token_id) for root in roots]
    parent = act(log.kms, by, "mint-token", scopes=["kms:admin"], tenant="acme").id
    act(log.kms, Caller(parent, ALL_SCOPES, "acme"), "mint-token", scopes=["kms:sign"])
    assert [(made.operation, made.tenant, made.actor) for made in log.new()] == [
        ("mint-token", "acme", by.token_id),
        ("mint-token", "acme", parent),
    ]
    act(log.kms, by, "revoke-token", id=parent, descendants=True)
    made = log.one()
    assert (made.operation, made.tenant, made.reason) == ("revoke-token", "acme", f"{parent} and 1 more")
    act(log.kms, by, "revoke-token", id=parent, descendants=True)
    assert log.new() == []
    act(log.kms, by, "retire-token-root", id=roots[0])
    act(log.kms, by, "retire-token-root", id=roots[0])
    made = log.one()
    assert (made.operation, made.reason) == ("retire-token-root", roots[0])


def test_operations_with_a_key(log: Log) -> None:
    kms = log.kms
    kid = kms.create(tenant="acme", purpose="audit", suite="ed25519", raw_messages=True)
    log.new()
    op_id = new_uuid()
    sigs = kms.sign(kid, digest=DIGEST, op_id=op_id).sigs
    made = log.one()
    assert (made.operation, made.kid, made.digest, made.op_id) == ("sign", kid, DIGEST, op_id)
    kms.sign(kid, message=b"payload")
    assert log.one().digest == DIGEST
    kms.verify(kid, sigs, digest=DIGEST)
    made = log.one()
    assert (made.operation, made.result, made.reason, made.digest) == ("verify", "ok", None, DIGEST)
    kms.verify(kid, sigs, digest=bytes(32))
    made = log.one()
    assert (made.result, made.reason, made.failures) == ("InvalidSignature", "bad_signature", 1)


def test_ciphertexts_are_recorded_and_no_plaintexts(log: Log) -> None:
    kms = log.kms
    vault = kms.create(tenant="acme", purpose="vault", use="seal")
    box = kms.create(tenant="acme", purpose="box", use="wrap")
    log.new()
    sealed = kms.seal(vault, b"plaintext").sealed
    kms.open(vault, sealed)
    with pytest.raises(BadRequest):
        kms.open(vault, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    assert [(made.operation, made.digest, made.result) for made in log.new()] == [
        ("seal", blake3(sealed).digest(), "ok"),
        ("open", blake3(sealed).digest(), "ok"),
        ("open", blake3(sealed[:-1] + bytes([sealed[-1] ^ 1])).digest(), "BadRequest"),
    ]
    wrapped = kms.wrap(box, plaintext=b"data key").wrapped
    kms.unwrap(box, wrapped)
    kms.rewrap(box, wrapped)
    assert [(made.operation, made.digest) for made in log.new()] == [
        (operation, blake3(wrapped).digest()) for operation in ("wrap", "unwrap", "rewrap")
    ]


def test_a_batch_makes_one_record_a_key_with_the_root_over_its_items(log: Log) -> None:
    kms = log.kms
    first, second = (kms.create(tenant="acme", purpose="audit", suite="ed25519") for _ in range(2))
    log.new()
    digests = [bytes([number]) * 32 for number in range(5)]
    items = [{"digest": digest, "kid": (first, second)[number % 2]} for number, digest in enumerate(digests)]
    items.append({"message": b"this key takes digests only", "kid": first})
    kms.sign_batch(items)
    assert [(made.operation, made.kid, made.digest, made.count, made.failures) for made in log.new()] == [
        ("sign:batch", first, merkle_root(digests[::2]), 3, 0),
        ("sign:batch", second, merkle_root(digests[1::2]), 2, 0),
    ]


@pytest.mark.parametrize(
    "refused",
    [
        lambda kms, _: kms.sign(f"acme/audit/{new_uuid()}", digest=DIGEST),
        lambda kms, kid: kms.sign(kid, digest=DIGEST),
        lambda kms, kid: kms.sign(kid),
    ],
    ids=["absent", "disabled", "not understood"],
)
def test_what_is_refused_before_a_key_is_touched_leaves_no_record(
    log: Log, refused: Callable[[LocalKms, str], object]
) -> None:
    kms = log.kms
    kid = kms.create(tenant="acme", purpose="audit", suite="ed25519")
    kms.set_state(kid, "disabled")
    log.new()
    with pytest.raises((NotFound, KeyDisabled, BadRequest)):
        refused(kms, kid)
    assert log.new() == []


@pytest.fixture
def broken(log: Log) -> tuple[Log, str, Any]:
    """A log that was found to be damaged, a key, and a signature of it."""
    kid = log.kms.create(tenant="acme", purpose="audit", suite="ed25519")
    sigs = log.kms.sign(kid, digest=DIGEST).sigs
    audit: Any = log.kms._kms.audit
    audit.log._damage = "by a test"
    return log, kid, sigs


@pytest.mark.parametrize(
    "act",
    [
        lambda kms, kid: kms.sign(kid, digest=DIGEST),
        lambda kms, kid: kms.sign_batch([{"digest": DIGEST}] * 3, kid=kid),
        lambda kms, kid: kms.rotate(kid),
        lambda kms, kid: kms.set_state(kid, "disabled"),
        lambda kms, kid: kms.destroy(kid),
        lambda kms, kid: kms.set_policy("acme", phase=2),
        lambda kms, kid: kms.create(tenant="acme", purpose="audit"),
    ],
)
def test_nothing_is_done_that_cannot_be_recorded(
    broken: tuple[Log, str, Any], act: Callable[[LocalKms, str], object]
) -> None:
    log, kid, sigs = broken
    before = log.kms.get(kid), log.kms.policy("acme")
    with pytest.raises(StoreUnavailable, match="audit log"):
        act(log.kms, kid)
    assert (log.kms.get(kid), log.kms.policy("acme")) == before
    assert log.kms.verify(kid, sigs, digest=DIGEST).ok


def test_records_of_verify_are_gathered_while_there_is_no_room(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    kms = log.kms
    kid = kms.create(tenant="acme", purpose="audit", suite="ed25519")
    sigs = kms.sign(kid, digest=DIGEST).sigs
    log.new()
    audit: Any = kms._kms.audit
    with monkeypatch.context() as full:
        full.setattr(kms._kms.gathered._log, "trail", lambda records: False)
        for number in range(7):
            kms.verify(kid, sigs, digest=DIGEST if number % 2 else bytes(32))
        assert len(kms._kms.gathered) == 1
    made = log.one()
    assert (made.operation, made.kid, made.count, made.failures, made.reason) == ("verify", kid, 7, 4, "gathered")
    assert made.digest == merkle_root([DIGEST if number % 2 else bytes(32) for number in range(7)])
    assert audit.fault == ""


@pytest.mark.parametrize(("verify", "recorded"), [("off", 0), ("relaxed", 1), ("durable", 1)])
def test_records_of_verify_as_the_settings_say(log: Log, verify: Any, recorded: int) -> None:
    kms = log.kms
    kid = kms.create(tenant="acme", purpose="audit", suite="ed25519")
    sigs = kms.sign(kid, digest=DIGEST).sigs
    log.new()
    kms._kms.auditing = AuditSettings(verify=verify)
    assert kms.verify(kid, sigs, digest=DIGEST).ok
    assert [record.operation for record in log.new()] == ["verify"] * recorded


def test_verify_that_waits_for_its_record_goes_on_without_it(broken: tuple[Log, str, Any]) -> None:
    log, kid, sigs = broken
    log.kms._kms.auditing = AuditSettings(verify="durable")
    assert log.kms.verify(kid, sigs, digest=DIGEST).ok
    assert len(log.kms._kms.gathered) == 1


def test_sessions_of_the_library_have_logs_of_their_own(tmp_path: Path) -> None:
    url, seal, folder = f"sqlite:///{tmp_path}/keys.db", f"keyfile:{tmp_path}/root.key", tmp_path / "logs"
    with ron_kms.open(url, seal=seal, audit=folder) as first, ron_kms.open(url, seal=seal, audit=folder) as second:
        kid = first.create(tenant="acme", purpose="audit", suite="ed25519")
        second.sign(kid, digest=DIGEST)
    assert [place.name for place in sorted(folder.iterdir())] == ["local-1", "local-2", "node"]
    assert [LogFolder(folder / name).records(0, 1)[0][:1] for name in ("local-1", "local-2")] == [b"\x01"] * 2
    with ron_kms.open(url, seal=seal, audit=folder) as again:
        again.sign(kid, digest=DIGEST)
    assert len(LogFolder(folder / "local-1").records(0, 2)) == 2
    assert not (folder / "local-3").exists()
