"""Signed notes and the names of their keys (C2SP signed-note): the form; what a signature covers is checkpoint.py.

A note has one form here: base64 that could be written otherwise is refused, and so is what no C2SP tool would read.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64encode
from collections.abc import Iterable
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple

from ron_kms.errors import Malformed

ED25519 = 0x01
"""Type of an Ed25519 signature over a note's text."""
ML_DSA_44 = 0x06
"""Type of an ML-DSA-44 cosignature, which covers a checkpoint's origin, size and root."""
MAX_NOTE = 128 * 1024
"""Bytes of a note."""
MAX_SIGNATURES = 64

_ALGORITHMS = {ED25519: "ed25519", ML_DSA_44: "ml-dsa-44"}
_PUBLIC_SIZES = {ED25519: 32, ML_DSA_44: 1312}
_DASH = "\u2014 "
_ID_SIZE = 4
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SPACE_OR_PLUS = re.compile(r"[\s+]")
_KEY_TEXT = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")


class NoteKey:
    """A key that signs notes: its name, its public half, what kind of signature it makes.

    :ivar kind: :data:`ED25519` or :data:`ML_DSA_44`.
    """

    def __init__(self, name: str, kind: int, public: bytes) -> None:
        """:raises Malformed: a name that notes cannot carry, another kind, a public key of a wrong size."""
        check_name(name)
        if kind not in _ALGORITHMS:
            raise Malformed(f"keys of type {kind:#04x} are not supported")
        if len(public) != _PUBLIC_SIZES[kind]:
            raise Malformed(f"a public key of {_ALGORITHMS[kind]} has {_PUBLIC_SIZES[kind]} bytes, not {len(public)}")
        self.name = name
        self.kind = kind
        self.public = public

    @classmethod
    def parse(cls, text: str) -> NoteKey:
        """Read a verifier key, ``<name>+<key id>+<base64 of type and public key>``.

        :raises Malformed: it is not one, or its id is not that of its name and key.
        """
        match = _KEY_TEXT.fullmatch(text)
        material = decode_base64(match[3]) if match else None
        if match is None or not material:
            raise Malformed("not a verifier key: <name>+<key id>+<base64>")
        key = cls(match[1], material[0], material[1:])
        if key.id.hex() != match[2]:
            raise Malformed(f"the key id {match[2]} is not that of the verifier key of {key.name}")
        return key

    @property
    def algorithm(self) -> str:
        """``ed25519`` or ``ml-dsa-44``."""
        return _ALGORITHMS[self.kind]

    @cached_property
    def id(self) -> bytes:
        """The four bytes that name the key in a signature."""
        return sha256(self.name.encode() + b"\n" + bytes((self.kind,)) + self.public).digest()[:_ID_SIZE]

    @property
    def text(self) -> str:
        """The verifier key as text, which :meth:`parse` reads."""
        return f"{self.name}+{self.id.hex()}+{b64encode(bytes((self.kind,)) + self.public).decode()}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NoteKey) and self._whole == other._whole

    def __hash__(self) -> int:
        return hash(self._whole)

    def __repr__(self) -> str:
        return f"<NoteKey {self.name} {self.id.hex()} {self.algorithm}>"

    @property
    def _whole(self) -> tuple[str, int, bytes]:
        return (self.name, self.kind, self.public)


class NoteSignature(NamedTuple):
    """A signature line.

    :ivar key_id: four bytes.
    :ivar signature: what follows them.
    """

    name: str
    key_id: bytes
    signature: bytes


class Note(NamedTuple):
    """A text, which ends in a newline, and signatures; nothing is known of these yet."""

    text: str
    signatures: tuple[NoteSignature, ...]


def check_name(name: str) -> None:
    """:raises Malformed: it cannot be the name of a key: it is empty, or has a space, a control character or a plus."""
    if not name or _SPACE_OR_PLUS.search(name) or _CONTROL.search(name):
        raise Malformed("the name of a note's key is empty or has a space, a plus or a control character")


def format_keys(keys: Iterable[NoteKey]) -> bytes:
    """Verifier keys as a file has them, one a line."""
    return "".join(f"{key.text}\n" for key in keys).encode()


def parse_keys(data: bytes) -> tuple[NoteKey, ...]:
    """Read :func:`format_keys`; empty lines and those that begin with ``#`` are left out.

    :raises Malformed: a line is not a verifier key, or there is none, or more than :data:`MAX_SIGNATURES`.
    """
    try:
        lines = [line.strip() for line in data[: MAX_NOTE + 1].decode("ascii").splitlines()]
    except UnicodeDecodeError:
        raise Malformed("verifier keys are ASCII text, one a line") from None
    keys = tuple(NoteKey.parse(line) for line in lines if line and not line.startswith("#"))
    if len(data) > MAX_NOTE or not 0 < len(keys) <= MAX_SIGNATURES:
        raise Malformed(f"1 to {MAX_SIGNATURES} verifier keys were expected, one a line")
    return keys


def format_note(note: Note) -> bytes:
    """A note as bytes.

    :raises Malformed: it would not be one.
    """
    lines = [f"{_DASH}{name} {b64encode(key_id + signature).decode()}\n" for name, key_id, signature in note.signatures]
    data = f"{note.text}\n{''.join(lines)}".encode()
    parse_note(data)
    return data


def parse_note(data: bytes) -> Note:
    """Take a note apart.

    :raises Malformed: it is not one, or larger than :data:`MAX_NOTE`, or has more than :data:`MAX_SIGNATURES`.
    """
    if len(data) > MAX_NOTE:
        raise Malformed(f"a note has at most {MAX_NOTE} bytes, not {len(data)}")
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"the note is not UTF-8 at byte {error.start}") from None
    if _CONTROL.search(whole):
        raise Malformed("the note has a control character")
    head, gap, tail = whole.rpartition("\n\n")
    if not gap or not tail.endswith("\n"):
        raise Malformed("the note has no text, a blank line, and signature lines")
    lines = tail.removesuffix("\n").split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise Malformed(f"a note has at most {MAX_SIGNATURES} signatures, not {len(lines)}")
    return Note(head + "\n", tuple(_signature(line) for line in lines))


def decode_base64(text: str) -> bytes | None:
    """Standard base64 in its one canonical form; None for anything else."""
    try:
        data = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    return data if b64encode(data).decode() == text else None


def _signature(line: str) -> NoteSignature:
    name, gap, encoded = line.removeprefix(_DASH).partition(" ")
    material = decode_base64(encoded)
    if not line.startswith(_DASH) or not gap or material is None or len(material) <= _ID_SIZE:
        raise Malformed("a signature line is a dash, a name, and base64 of a key id and a signature")
    check_name(name)
    return NoteSignature(name, material[:_ID_SIZE], material[_ID_SIZE:])
