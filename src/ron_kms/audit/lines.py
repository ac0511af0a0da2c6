"""What the texts of C2SP have in common: numbers, and hashes a line each."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence

from ron_kms.audit.note import MAX_NOTE, decode_base64
from ron_kms.audit.tree import HASH_SIZE
from ron_kms.errors import Malformed

MAX_HASHES = 63
"""Hashes of a proof; tlog-witness allows as many."""
MAX_TEXT = MAX_NOTE + 64 * 1024

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


def number(text: str) -> int:
    """A decimal without leading zeroes, below 2**63.

    :raises Malformed: it is not one.
    """
    if _NUMBER.fullmatch(text) is None or int(text) >= 1 << 63:
        raise Malformed("a number without leading zeroes was expected")
    return int(text)


def hashes(lines: Sequence[str]) -> tuple[bytes, ...]:
    """:raises Malformed: a line is not a hash in base64, or there are too many."""
    found = [decode_base64(line) for line in lines[: MAX_HASHES + 1]]
    if len(lines) > MAX_HASHES:
        raise Malformed(f"a proof has at most {MAX_HASHES} hashes, not {len(lines)}")
    known = tuple(digest for digest in found if digest is not None and len(digest) == HASH_SIZE)
    if len(known) != len(found):
        raise Malformed("a line of the proof is not a hash in base64")
    return known


def encode_hashes(found: Iterable[bytes]) -> list[str]:
    return [b64encode(digest).decode() for digest in found]


def head_and_note(data: bytes) -> tuple[list[str], bytes]:
    """The lines before the first empty one, and what follows it.

    :raises Malformed: there is none, or too much of it.
    """
    if len(data) > MAX_TEXT:
        raise Malformed(f"a proof has at most {MAX_TEXT} bytes, not {len(data)}")
    head, gap, note = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Malformed("a proof is ASCII up to its checkpoint") from None
    if not gap:
        raise Malformed("a proof is followed by an empty line and a checkpoint")
    return lines, note
