"""Checkpoints: what a log says of itself at one size (C2SP tlog-checkpoint), signed as a note.

A log signs each with two keys, both named as its origin: Ed25519 over the text, as every C2SP tool can check, and
ML-DSA-44 as a cosignature (C2SP tlog-cosignature, ``subtree/v1``), which stands against a quantum computer.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from ron_kms.audit.note import (
    ED25519,
    Note,
    NoteKey,
    NoteSignature,
    check_name,
    decode_base64,
    format_note,
    parse_note,
)
from ron_kms.audit.tree import HASH_SIZE
from ron_kms.crypto.signing import VerifyKey
from ron_kms.errors import Malformed

MAX_ORIGIN = 255
"""Bytes of an origin."""

_LABEL = b"subtree/v1\n\0"
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_STAMP = 8
_NEVER = 1 << 63


class Checkpoint(NamedTuple):
    """The tree of a log at one size.

    :ivar origin: which log: ``<deployment>/<node>/<slot>``.
    :ivar size: how many records it has.
    :ivar root: the root over them, 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed: origin, size, root, a line each."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """:raises Malformed: it is not such a text; one with extension lines is none of ours."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise Malformed("a checkpoint's text is three lines: origin, size and root")
        origin, size, root = lines[:3]
        check_origin(origin)
        if _SIZE.fullmatch(size) is None or int(size) >= _NEVER:
            raise Malformed("the second line of a checkpoint is not a size")
        digest = decode_base64(root)
        if digest is None or len(digest) != HASH_SIZE:
            raise Malformed("the third line of a checkpoint is not a hash")
        return cls(origin, int(size), digest)


class Signer(NamedTuple):
    """A key that signs checkpoints, without the key: what it is called, and how to have it sign.

    :ivar sign: message to signature; the private key stays where it is.
    """

    key: NoteKey
    sign: Callable[[bytes], bytes]


class Verified(NamedTuple):
    """A checkpoint whose signatures were checked.

    :ivar signed: by which of the known keys.
    :ivar times: when, in seconds since 1970, by those whose signatures say so.
    """

    checkpoint: Checkpoint
    signed: tuple[NoteKey, ...]
    times: dict[NoteKey, int]


def check_origin(origin: str) -> None:
    """:raises Malformed: it cannot be an origin, which is the name of the log's keys too."""
    check_name(origin)
    if len(origin.encode()) > MAX_ORIGIN:
        raise Malformed(f"an origin has at most {MAX_ORIGIN} bytes")


def cosigned_message(name: str, time: int, checkpoint: Checkpoint) -> bytes:
    """What ML-DSA-44 signs: tlog-cosignature's ``cosigned_message`` over the whole tree, from leaf 0 to its size.

    :param name: of the cosigner.
    :param time: seconds since 1970.
    """
    names = [text.encode() for text in (name, checkpoint.origin)]
    if not all(0 < len(text) <= MAX_ORIGIN for text in names):
        raise Malformed(f"names in a cosignature have 1 to {MAX_ORIGIN} bytes")
    return b"".join((
        _LABEL,
        bytes((len(names[0]),)),
        names[0],
        time.to_bytes(8, "big"),
        bytes((len(names[1]),)),
        names[1],
        (0).to_bytes(8, "big"),
        checkpoint.size.to_bytes(8, "big"),
        checkpoint.root,
    ))  # fmt: skip


def sign(checkpoint: Checkpoint, signers: Iterable[Signer], time: int) -> bytes:
    """A checkpoint as a signed note.

    :param time: seconds since 1970, for the signatures that say when they were made.
    """
    check_origin(checkpoint.origin)
    text = checkpoint.text
    signatures = []
    for signer in signers:
        key = signer.key
        if key.kind == ED25519:
            signature = signer.sign(text.encode())
        else:
            signature = time.to_bytes(_STAMP, "big") + signer.sign(cosigned_message(key.name, time, checkpoint))
        signatures.append(NoteSignature(key.name, key.id, signature))
    return format_note(Note(text, tuple(signatures)))


def verify(data: bytes, keys: Iterable[NoteKey]) -> Verified:
    """Read a signed checkpoint and check the signatures of the keys that are known; others are ignored.

    :raises Malformed: it is not a checkpoint, a known key's signature does not hold, or none of them has signed.
    """
    note = parse_note(data)
    checkpoint = Checkpoint.parse(note.text)
    known = {(key.name, key.id): key for key in keys}
    signed: dict[NoteKey, None] = {}
    times: dict[NoteKey, int] = {}
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue
        time, message, bare = _covered(key, signature.signature, checkpoint)
        if not VerifyKey.from_bytes({key.algorithm: key.public}).is_valid(message, [(key.algorithm, bare)]):
            raise Malformed(f"the {key.algorithm} signature of {key.name} on the checkpoint does not hold")
        signed[key] = None
        if time is not None:
            times[key] = time
    if not signed:
        raise Malformed("the checkpoint is signed by none of the known keys")
    return Verified(checkpoint, tuple(signed), times)


def verify_all(data: bytes, keys: Sequence[NoteKey]) -> Verified:
    """:func:`verify`, where every one of the keys must have signed.

    :raises Malformed: it also says which one has not.
    """
    verified = verify(data, keys)
    for key in keys:
        if key not in verified.signed:
            raise Malformed(f"the {key.algorithm} key {key.id.hex()} of {key.name} has not signed the checkpoint")
    return verified


def _covered(key: NoteKey, signature: bytes, checkpoint: Checkpoint) -> tuple[int | None, bytes, bytes]:
    """When it was made, where it says so, what it covers, and the signature without its time."""
    if key.kind == ED25519:
        return None, checkpoint.text.encode(), signature
    time = int.from_bytes(signature[:_STAMP], "big")
    if len(signature) <= _STAMP or time >= _NEVER:
        raise Malformed(f"the {key.algorithm} signature of {key.name} on the checkpoint does not say when it was made")
    return time, cosigned_message(key.name, time, checkpoint), signature[_STAMP:]
