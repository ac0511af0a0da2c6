"""Proofs that a record is in a log, and that an item is in a record's batch, as a text that anybody can check alone.

The text is C2SP tlog-proof; its extra line has the record itself and, for a batch, what leads from the item to it, in
JSON.
"""

from __future__ import annotations

import msgspec

from ron_kms.audit.checkpoint import Verified, verify_all
from ron_kms.audit.lines import MAX_HASHES, encode_hashes, hashes, head_and_note, number
from ron_kms.audit.note import NoteKey, decode_base64
from ron_kms.audit.proofs import StoredTree, check_inclusion
from ron_kms.audit.record import Record, decode
from ron_kms.audit.tree import HASH_SIZE, Frontier, Reader, leaf_hash, merkle_root
from ron_kms.errors import Malformed

MAX_ITEMS = 1024

_HEADER = "c2sp.org/tlog-proof@v1"


class ItemProof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That a digest is one of those over which a batch's record has the root.

    :ivar index: its place in the batch, among the items of the record's key.
    :ivar digest: of the item, 32 bytes.
    :ivar hashes: from its sibling to the root's child.
    """

    index: int
    digest: bytes
    hashes: tuple[bytes, ...] = ()


class _Extra(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    record: bytes
    item: ItemProof | None = None


class InclusionProof(msgspec.Struct, frozen=True):
    """That a record is in the log of a checkpoint.

    :ivar index: of the record.
    :ivar hashes: from its sibling to the root's child.
    :ivar note: the checkpoint, as it was signed.
    """

    index: int
    record: bytes
    hashes: tuple[bytes, ...]
    note: bytes
    item: ItemProof | None = None

    def format(self) -> bytes:
        extra = msgspec.json.encode(_Extra(self.record, self.item))
        lines = [_HEADER, f"extra {encode_hashes([extra])[0]}", f"index {self.index}", *encode_hashes(self.hashes)]
        return "\n".join([*lines, "", ""]).encode() + self.note

    @classmethod
    def parse(cls, data: bytes) -> InclusionProof:
        """:raises Malformed: it is not such a text."""
        lines, note = head_and_note(data)
        if lines[0] != _HEADER:
            raise Malformed(f"not a proof: the first line is not {_HEADER}")
        if len(lines) < 3 or not lines[1].startswith("extra ") or not lines[2].startswith("index "):
            raise Malformed("not a proof of ours: an extra line and an index line were expected")
        try:
            extra = msgspec.json.decode(decode_base64(lines[1][6:]) or b"", type=_Extra)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Malformed("the extra line of the proof has no record") from None
        return cls(number(lines[2][6:]), extra.record, hashes(lines[3:]), note, extra.item)

    def check(self, keys: tuple[NoteKey, ...]) -> tuple[Verified, Record]:
        """Check everything: the checkpoint's signatures, the way to its root, the item's way to the record.

        :param keys: those of the log; each of them must have signed.
        :raises Malformed: something does not hold; it says what.
        """
        verified = verify_all(self.note, keys)
        checkpoint = verified.checkpoint
        if not check_inclusion(leaf_hash(self.record), self.index, checkpoint.size, checkpoint.root, self.hashes):
            raise Malformed(f"the record is not record {self.index} of the checkpoint's tree")
        record = decode(self.record)
        if self.item is not None:
            _check_item(self.item, record)
        return verified, record


def prove_item(record: Record, digests: list[bytes], index: int) -> ItemProof:
    """The proof for one item of a batch.

    :param digests: of all items of the record's key, in the order of the batch.
    :raises Malformed: they are not those that the record was made of.
    """
    if not 0 <= index < len(digests) <= MAX_ITEMS:
        raise Malformed(f"a batch has 1 to {MAX_ITEMS} items; there are {len(digests)}, and no item {index}")
    if any(len(digest) != HASH_SIZE for digest in digests):
        raise Malformed(f"a digest has {HASH_SIZE} bytes")
    if len(digests) == 1:
        item = ItemProof(0, digests[0])
    else:
        leaves = [leaf_hash(digest) for digest in digests]
        item = ItemProof(index, digests[index], tuple(_path(leaves, index)))
        if merkle_root(digests) != record.digest:
            raise Malformed("these are not the items of this record: their root is another")
    _check_item(item, record)
    return item


def prove(read: Reader, size: int, index: int, record: bytes, note: bytes, item: ItemProof | None) -> InclusionProof:
    """The proof for a record.

    :param read: reads the tiles of the log.
    :param size: of the tree that the checkpoint in ``note`` names.
    :raises IndexError: there is no such record.
    """
    return InclusionProof(index, record, tuple(StoredTree(size, read).inclusion(index)), note, item)


def _check_item(item: ItemProof, record: Record) -> None:
    if len(item.digest) != HASH_SIZE or len(item.hashes) > MAX_HASHES or any(len(h) != HASH_SIZE for h in item.hashes):
        raise Malformed("the item's proof is not made of digests")
    if record.count == 1:  # the digest stands in the record itself
        holds = (item.index, item.hashes, item.digest) == (0, (), record.digest)
    else:
        leaf = leaf_hash(item.digest)
        holds = record.digest is not None and check_inclusion(
            leaf, item.index, record.count, record.digest, item.hashes
        )
    if not holds:
        raise Malformed(f"the digest is not item {item.index} of the record's batch")


def _path(leaves: list[bytes], index: int) -> list[bytes]:
    """The proof within the batch's own tree."""
    frontier = Frontier()
    tiles = {(tile.level, tile.number): tile.data for tile in [*frontier.append(leaves), *frontier.partial()]}
    return StoredTree(len(leaves), lambda level, at, _width: tiles[level, at]).inclusion(index)
