"""No hash state is left from which a seed can be computed: of a key, or of a signature's mask, which tells the key.

ML-DSA derives its secrets with SHAKE256, and liboqs keeps the states of that on the heap. Keccak's permutation can be
undone, so a state that was freed as it was says what it has absorbed.
"""

from __future__ import annotations

import hashlib
import os
import struct
from itertools import chain
from pathlib import Path

import pytest

from tests.memory.keccak import LANES, permute, seed_of, states_left, undo
from tests.memory.mappings import contents, mappings
from tests.memory.signer import Signer


def seeds_in(pid: int) -> set[bytes]:
    writable = [mapping for mapping in mappings(pid) if mapping.permissions.startswith("rw")]
    return {
        seed
        for _, data in contents(pid, writable)
        for lanes in states_left(data)
        if (seed := seed_of(lanes)) is not None
    }


def absorbed(message: bytes) -> list[int]:
    """SHAKE256's state before its first permutation."""
    block = bytearray(message.ljust(200, b"\0"))
    block[len(message)] ^= 0x1F
    block[135] ^= 0x80
    return list(struct.unpack(f"<{LANES}Q", block))


def test_the_permutation_is_that_of_shake256_and_can_be_undone() -> None:
    state = permute(absorbed(b"abc"))
    assert struct.pack(f"<{LANES}Q", *state)[:136] == hashlib.shake_256(b"abc").digest(136)
    assert undo(state) == absorbed(b"abc")


@pytest.mark.parametrize("interleaved", [True, False])
def test_the_search_finds_a_state_that_was_freed(interleaved: bool, tmp_path: Path) -> None:
    seeds = [os.urandom(64) + bytes((i, 0)) for i in range(4)]
    states = [permute(permute(absorbed(seed))) for seed in seeds]
    words = list(chain(*zip(*states, strict=True))) if interleaved else list(chain(*states))
    freed = struct.pack("<103Q", 0, 0x5555_5555_0000, *words[1:], 136, 0)
    with Signer(tmp_path) as signer:
        signer.do("spill", [freed.hex()])
        assert {seed[:66] for seed in seeds_in(signer.pid)} & set(seeds)


def test_none_is_left_after_making_keys_and_signing(tmp_path: Path) -> None:
    with Signer(tmp_path) as signer:
        kids = signer.do("create")
        assert seeds_in(signer.pid) == set()
        signer.do("sign", kids[:8])
        signer.do("batch", kids[8:16])
        assert seeds_in(signer.pid) == set()
