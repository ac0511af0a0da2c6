"""Proofs as texts: made, checked, and refused where anything in them was changed."""

from __future__ import annotations

import dataclasses
from base64 import b64encode

import msgspec
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ron_kms.audit import consistency, inclusion
from ron_kms.audit.checkpoint import verify
from ron_kms.audit.consistency import ConsistencyProof
from ron_kms.audit.inclusion import InclusionProof, prove_item
from ron_kms.audit.note import NoteKey
from ron_kms.audit.record import decode, encode
from ron_kms.audit.source import Folder, tiles_of
from ron_kms.audit.tree import Reader, merkle_root
from ron_kms.errors import Malformed
from tests.audit.logs import DiskLog, records
from tests.audit.test_record import SIGNED

SIZE = 600
DIGESTS = [blake3(f"item {number}".encode()).digest() for number in range(300)]
BATCH = replace(SIGNED, count=len(DIGESTS), failures=2, digest=merkle_root(DIGESTS))
PLACE = 500
"""Where the batch's record is."""


@dataclasses.dataclass
class Proven:
    log: DiskLog
    keys: tuple[NoteKey, ...]
    read: Reader
    note: bytes


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    log = DiskLog(tmp_path_factory.mktemp("log"))
    log.grow(records(300))
    log.grow([*records(PLACE - 300, 300), encode(BATCH), *records(SIZE - PLACE - 1, PLACE + 1)])
    return Proven(log, tuple(log.keys), tiles_of(Folder(log.folder)), log.notes[SIZE])


def prove(proven: Proven, index: int, item: inclusion.ItemProof | None = None) -> InclusionProof:
    return inclusion.prove(proven.read, SIZE, index, proven.log.records[index], proven.note, item)


@pytest.mark.parametrize("index", [0, 255, 256, PLACE, SIZE - 1])
def test_a_record_is_in_the_log(proven: Proven, index: int) -> None:
    proof = InclusionProof.parse(prove(proven, index).format())
    verified, record = proof.check(proven.keys)
    assert (verified.checkpoint, record) == (proven.log.checkpoints[SIZE], decode(proven.log.records[index]))


def test_the_text_is_that_of_the_standard(proven: Proven) -> None:
    text = prove(proven, 7).format()
    lines = text.decode().split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1] == "extra " + b64encode(
        msgspec.json.encode({"record": b64encode(proven.log.records[7]).decode()})
    ).decode()  # fmt: skip
    assert lines[2] == "index 7"
    assert len(lines[3]) == 44
    assert text.endswith(b"\n\n" + proven.note)


@pytest.mark.parametrize("index", [0, 1, 255, 256, 299])
def test_an_item_is_in_a_batch(proven: Proven, index: int) -> None:
    text = prove(proven, PLACE, prove_item(BATCH, DIGESTS, index)).format()
    proof = InclusionProof.parse(text)
    assert proof.item is not None
    assert (proof.item.index, proof.item.digest) == (index, DIGESTS[index])
    assert proof.check(proven.keys)[1] == BATCH
    for item in (
        replace(proof.item, digest=DIGESTS[index - 1]),
        replace(proof.item, index=index + 1),
        replace(proof.item, hashes=proof.item.hashes[:-1]),
        replace(proof.item, hashes=(b"short",)),
        replace(proof.item, hashes=proof.item.hashes * 30),
        replace(proof.item, digest=b"short"),
    ):
        with pytest.raises(Malformed):
            replace(proof, item=item).check(proven.keys)


def test_an_operation_on_one_item(proven: Proven) -> None:
    record = decode(proven.log.records[3])
    assert record.digest is not None
    item = prove_item(record, [record.digest], 0)
    prove(proven, 3, item).check(proven.keys)
    with pytest.raises(Malformed, match="not item 0"):
        prove_item(record, [DIGESTS[0]], 0)


@pytest.mark.parametrize(
    ("digests", "index"),
    [(DIGESTS[:-1], 0), (DIGESTS[::-1], 0), (DIGESTS, 300), (DIGESTS, -1), ([], 0), ([b"short"] * 300, 0)],
)
def test_other_items_than_those_of_the_record(digests: list[bytes], index: int) -> None:
    with pytest.raises(Malformed):
        prove_item(BATCH, digests, index)


def test_what_does_not_hold_is_said(proven: Proven) -> None:
    proof = prove(proven, 7)
    with pytest.raises(Malformed, match="not record 8 of"):
        replace(proof, index=8).check(proven.keys)
    with pytest.raises(Malformed, match="not record 7 of"):
        replace(proof, record=proven.log.records[8]).check(proven.keys)
    with pytest.raises(Malformed, match="not record 7 of"):
        replace(proof, note=proven.log.notes[300]).check(proven.keys)
    with pytest.raises(Malformed, match="none of the known keys"):
        proof.check(())
    stranger = DiskLog(proven.log.folder / "stranger", proven.log.origin)
    with pytest.raises(Malformed, match="none of the known keys"):
        proof.check(tuple(stranger.keys))
    with pytest.raises(Malformed, match="has not signed"):
        proof.check((proven.keys[0], stranger.keys[1]))


@pytest.mark.parametrize("old", [0, 1, 255, 256, 300, 512, SIZE])
def test_the_log_only_grew(proven: Proven, old: int) -> None:
    proof = ConsistencyProof.parse(consistency.prove(proven.read, SIZE, old, proven.note).format())
    kept = proven.log.checkpoints[SIZE]._replace(size=old, root=merkle_root(proven.log.records[:old]))
    assert proof.check(proven.keys, kept).checkpoint.size == SIZE
    for other in (
        kept._replace(root=bytes(32)),
        kept._replace(size=old + 1),
        kept._replace(origin="deployment/node/1"),
    ):
        with pytest.raises(Malformed):
            proof.check(proven.keys, other)
    if old:
        with pytest.raises(Malformed, match="is needed to check"):
            proof.check(proven.keys, None)
    else:
        proof.check(proven.keys, None)
    with pytest.raises(Malformed):
        proof.check((), kept)


def test_a_witness_can_read_it(proven: Proven) -> None:
    """Line by line as tlog-witness describes the request to add a checkpoint."""
    body = consistency.prove(proven.read, SIZE, 300, proven.note).format()
    head, _, note = body.partition(b"\n\n")
    first, *proof = head.decode().split("\n")
    assert first == "old 300"
    assert len(proof) <= 63
    assert all(len(line) == 44 for line in proof)
    assert verify(note, proven.keys).checkpoint.size == SIZE


def test_what_is_no_place_in_the_log(proven: Proven) -> None:
    with pytest.raises(IndexError):
        inclusion.prove(proven.read, SIZE, SIZE, b"", proven.note, None)
    with pytest.raises(IndexError):
        consistency.prove(proven.read, SIZE, SIZE + 1, proven.note)


WORDS = """c2sp.org/tlog-proof@v1|extra e30=|extra eyJyZWNvcmQiOiIifQ==|extra|index 1|index 01|index -1|old 5|old |
old 99999999999999999999|AAAA||\x00|\u00e9|AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="""
LINES = st.lists(st.sampled_from(WORDS.replace("\n", "").split("|")) | st.text(max_size=20), max_size=8)


@given(LINES)
def test_any_text_is_refused_or_read(lines: list[str]) -> None:
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    for kind in (InclusionProof, ConsistencyProof):
        try:
            proof = kind.parse(data)
        except Malformed:
            continue
        with pytest.raises(Malformed):
            proof.check((), *(() if isinstance(proof, InclusionProof) else (None,)))  # type: ignore[arg-type]


@given(st.data())
def test_any_changed_byte_is_noticed(proven: Proven, data: st.DataObject) -> None:
    """But for the signatures' lines, where other keys may sign too."""
    text = prove(proven, PLACE, prove_item(BATCH, DIGESTS, 5)).format()
    end = text.index("\u2014".encode())
    at, value = data.draw(st.integers(0, end - 2)), data.draw(st.integers(0, 255))
    changed = text[:at] + bytes((value,)) + text[at + 1 :]
    if changed == text:
        return
    try:
        proof = InclusionProof.parse(changed)
        proof.check(proven.keys)
    except Malformed:
        return
    assert proof == InclusionProof.parse(text)  # JSON can be written in more than one way


def test_texts_are_bounded() -> None:
    for kind in (InclusionProof, ConsistencyProof):
        with pytest.raises(Malformed, match="at most"):
            kind.parse(bytes(1_000_000))
    line = b64encode(bytes(32)).decode()
    with pytest.raises(Malformed, match="at most 63 hashes, not 64"):
        ConsistencyProof.parse(("old 5\n" + f"{line}\n" * 64 + "\nnote").encode())
