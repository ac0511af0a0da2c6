"""Keccak-f[1600] (FIPS 202) and its inverse, to tell what a hash state that was left in memory still says."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Sequence

LANES = 25
_MASK = (1 << 64) - 1
_SHAKE256_LANES = 17
"""Lanes that SHAKE256 absorbs into and squeezes from; the others are its capacity, zero before the first block."""

_DISTINCT_BYTES = 105
"""Of 200 random bytes 139 are distinct, give or take six; text and code have fewer."""

_BLOCKS = 8
"""Permutations that are undone at most: liboqs squeezes five blocks for one mask."""


def permute(lanes: Sequence[int]) -> list[int]:
    """Keccak-f[1600]."""
    state = list(lanes)
    for constant in _CONSTANTS:
        state = _add_columns(state, _columns(state))
        state = _chi([_turn(state[source], turn) for source, turn in _MOVES])
        state[0] ^= constant
    return state


def undo(lanes: Sequence[int]) -> list[int]:
    """The state before :func:`permute`."""
    state = list(lanes)
    for constant in reversed(_CONSTANTS):
        state[0] ^= constant
        state = _chi(_chi(_chi(state)))  # chi is of order four
        moved = [0] * LANES
        for lane, (source, turn) in zip(state, _MOVES, strict=True):
            moved[source] = _turn(lane, 64 - turn)
        # On the columns theta is I + A with A = x^-1 + x z, and its 192nd power is I. So its inverse is the 191st
        # power, and (I + A)^(2^k) = I + A^(2^k), for squaring adds no mixed terms here.
        columns = _columns(moved)
        for n in (1, 2, 4, 8, 16, 32, 128):
            columns = [columns[x] ^ columns[(x - n) % 5] ^ _turn(columns[(x + n) % 5], n) for x in range(5)]
        state = _add_columns(moved, columns)
    return state


def seed_of(lanes: Sequence[int]) -> bytes | None:
    """What a SHAKE256 state has absorbed in its first block, if it can be found by running it backwards."""
    state = list(lanes)
    for _ in range(_BLOCKS):
        state = undo(state)
        if not any(state[_SHAKE256_LANES:]):
            return struct.pack(f"<{LANES}Q", *state)[: _SHAKE256_LANES * 8]
    return None


def states_left(data: bytes) -> Iterator[list[int]]:
    """States that may be in this memory: those of liboqs for four hashes at once, whether in use or freed.

    Such a state is 100 words that look random and a count of at most 168. The allocator writes its own two words over
    the beginning of what is freed, which damages the first of the four hashes where they follow each other, and the
    first two where they are interleaved; the others are whole.
    """
    words = array("Q", data)
    last = -1
    for at, word in enumerate(words):
        if word >> 48:
            continue
        if word <= 168 and at - last > 97 and at >= 100:
            for whole in (words[at - 98 : at : 4], words[at - 50 : at - 25]):
                lanes = list(whole)
                if len(set(whole.tobytes())) > _DISTINCT_BYTES:
                    yield lanes
                    yield [~lane & _MASK if i in _COMPLEMENTED else lane for i, lane in enumerate(lanes)]
        last = at


_COMPLEMENTED = frozenset((1, 2, 8, 12, 17, 20))
"""Lanes that portable implementations keep inverted (Keccak implementation overview, 2.2)."""


def _turn(lane: int, by: int) -> int:
    by %= 64
    return (lane << by | lane >> (64 - by)) & _MASK


def _columns(state: Sequence[int]) -> list[int]:
    return [state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20] for x in range(5)]


def _add_columns(state: Sequence[int], columns: Sequence[int]) -> list[int]:
    added = [columns[x - 1] ^ _turn(columns[(x + 1) % 5], 1) for x in range(5)]
    return [lane ^ added[i % 5] for i, lane in enumerate(state)]


def _chi(state: Sequence[int]) -> list[int]:
    return [
        state[row + x] ^ (~state[row + (x + 1) % 5] & state[row + (x + 2) % 5])
        for row in range(0, LANES, 5)
        for x in range(5)
    ]


def _round_constants() -> Iterator[int]:
    register = 1
    for _ in range(24):
        constant = 0
        for power in range(7):
            constant |= (register & 1) << ((1 << power) - 1)
            register = register << 1 ^ (0x171 if register & 0x80 else 0)
        yield constant


def _moves() -> list[tuple[int, int]]:
    """For each lane after rho and pi, where it was and how far it was turned."""
    turns = {(0, 0): 0}
    x, y = 1, 0
    for t in range(24):
        turns[x, y] = (t + 1) * (t + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    moves = [(0, 0)] * LANES
    for (x, y), turn in turns.items():
        moves[y + 5 * ((2 * x + 3 * y) % 5)] = x + 5 * y, turn
    return moves


_CONSTANTS = tuple(_round_constants())
_MOVES = _moves()
