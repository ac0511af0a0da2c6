"""Proofs that a log only grew, as a text: what C2SP tlog-witness takes as the body of ``add-checkpoint``.

It is the size of an older checkpoint, the hashes, and the newer checkpoint. A witness checks it against the older one
that it has seen itself; so can anybody who has kept one.
"""

from __future__ import annotations

import msgspec

from ron_kms.audit.checkpoint import Checkpoint, Verified, verify_all
from ron_kms.audit.lines import encode_hashes, hashes, head_and_note, number
from ron_kms.audit.note import NoteKey
from ron_kms.audit.proofs import StoredTree, check_consistency
from ron_kms.audit.tree import EMPTY_ROOT, Reader
from ron_kms.errors import Malformed

_OLD = "old "


class ConsistencyProof(msgspec.Struct, frozen=True):
    """That a log of ``old`` records is the beginning of the one in the checkpoint.

    :ivar hashes: none where ``old`` is 0 or all.
    :ivar note: the newer checkpoint, as it was signed.
    """

    old: int
    hashes: tuple[bytes, ...]
    note: bytes

    def format(self) -> bytes:
        """The body of an ``add-checkpoint`` request."""
        return "\n".join([f"{_OLD}{self.old}", *encode_hashes(self.hashes), "", ""]).encode() + self.note

    @classmethod
    def parse(cls, data: bytes) -> ConsistencyProof:
        """:raises Malformed: it is not such a text."""
        lines, note = head_and_note(data)
        if not lines[0].startswith(_OLD):
            raise Malformed("not a consistency proof: the first line is not the old size")
        return cls(number(lines[0].removeprefix(_OLD)), hashes(lines[1:]), note)

    def check(self, keys: tuple[NoteKey, ...], kept: Checkpoint | None) -> Verified:
        """Check the newer checkpoint's signatures, and that its log goes on from the older one.

        :param keys: those of the log; each of them must have signed.
        :param kept: the older checkpoint; without one only a proof from 0 can be checked.
        :raises Malformed: something does not hold; it says what.
        """
        verified = verify_all(self.note, keys)
        new = verified.checkpoint
        if kept is None and self.old:
            raise Malformed(f"the checkpoint of {self.old} records is needed to check this proof")
        old = kept or Checkpoint(new.origin, 0, EMPTY_ROOT)
        if old.origin != new.origin:
            raise Malformed(f"the older checkpoint is of {old.origin}, the newer one of {new.origin}")
        if old.size != self.old:
            raise Malformed(f"the proof is from {self.old} records on, and the older checkpoint has {old.size}")
        if not check_consistency(old.size, old.root, new.size, new.root, self.hashes):
            raise Malformed(f"the log of {new.size} records does not go on from that of {old.size}")
        return verified


def prove(read: Reader, size: int, old: int, note: bytes) -> ConsistencyProof:
    """The proof from an older size.

    :param read: reads the tiles of the log.
    :param size: of the tree that the checkpoint in ``note`` names.
    :raises IndexError: the older size is the larger one.
    """
    return ConsistencyProof(old, tuple(StoredTree(size, read).consistency(old)), note)
