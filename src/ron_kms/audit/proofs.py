"""Proofs over a stored tree: that a record is in it, and that an older tree is its beginning (RFC 9162, section 2.1).

Made from tiles alone, and checked without them.
"""

from __future__ import annotations

from collections.abc import Sequence

from ron_kms.audit.tree import EMPTY_ROOT, TILE_HEIGHT, TILE_WIDTH, Reader, fold, node_hash, split

_CACHED_TILES = 64


class StoredTree:
    """A tree that is kept as tiles.

    :param size: how many leaves it has, by a checkpoint.
    :param read: reads a tile. What it raises goes through.
    """

    def __init__(self, size: int, read: Reader) -> None:
        self.size = size
        self._read = read
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def root(self) -> bytes:
        """The root, from the partial tiles and those that they need."""
        return self._range(0, self.size) if self.size else EMPTY_ROOT

    def inclusion(self, index: int) -> list[bytes]:
        """The proof that a leaf is in the tree, from the bottom to the top.

        :raises IndexError: there is no such leaf.
        """
        if not 0 <= index < self.size:
            raise IndexError(index)
        proof = []
        start, end = 0, self.size
        while end - start > 1:
            middle = start + _largest_power(end - start)
            if index < middle:
                proof.append(self._range(middle, end))
                end = middle
            else:
                proof.append(self._range(start, middle))
                start = middle
        return proof[::-1]

    def consistency(self, old: int) -> list[bytes]:
        """The proof that the tree of the first ``old`` leaves is the beginning of this one; empty for 0 and for all.

        :raises IndexError: it is larger than this one.
        """
        if not 0 <= old <= self.size:
            raise IndexError(old)
        if old in (0, self.size):
            return []
        proof = []
        start, end = 0, self.size
        while end != old:
            middle = start + _largest_power(end - start)
            if old <= middle:
                proof.append(self._range(middle, end))
                end = middle
            else:
                proof.append(self._range(start, middle))
                start = middle
        # The old tree's own last subtree comes first, unless it is all of the old tree, whose root the checker has.
        return ([self._range(start, end)] if start else []) + proof[::-1]

    def _range(self, start: int, end: int) -> bytes:
        """The root over leaves from ``start`` to before ``end``, a subtree of this tree."""
        size = end - start
        if size & (size - 1) == 0:
            return self._node(size.bit_length() - 1, start // size)
        middle = start + _largest_power(size)
        return node_hash(self._range(start, middle), self._range(middle, end))

    def _node(self, height: int, index: int) -> bytes:
        """The root of the full subtree of ``2 ** height`` leaves that is the ``index``-th of its height."""
        level, above = divmod(height, TILE_HEIGHT)
        first = index << above
        at = first % TILE_WIDTH
        return fold(self._tile(level, first // TILE_WIDTH)[at : at + (1 << above)])

    def _tile(self, level: int, index: int) -> list[bytes]:
        if (level, index) not in self._tiles:
            width = min(TILE_WIDTH, (self.size >> TILE_HEIGHT * level) - index * TILE_WIDTH)
            if len(self._tiles) >= _CACHED_TILES:
                self._tiles.pop(next(iter(self._tiles)))
            self._tiles[level, index] = split(self._read(level, index, width), width)
        return self._tiles[level, index]


def check_inclusion(leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether a proof shows that a leaf, by its hash, is at an index of the tree of this size and root.

    RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        return False
    position, last = index, size - 1
    node = leaf
    for step in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            node = node_hash(step, node)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            node = node_hash(node, step)
        position >>= 1
        last >>= 1
    return last == 0 and node == root


def check_consistency(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether a proof shows that the tree of ``old`` leaves and ``old_root`` is the beginning of the other one.

    RFC 9162, section 2.1.4.2.
    """
    if not 0 <= old <= size:
        return False
    if old == 0:
        return old_root == EMPTY_ROOT and not proof and (size > 0 or root == EMPTY_ROOT)
    if old == size:
        return old_root == root and not proof
    if not proof:
        return False
    steps = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    position, last = old - 1, size - 1
    while position & 1:
        position >>= 1
        last >>= 1
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            before = node_hash(step, before)
            after = node_hash(step, after)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            after = node_hash(after, step)
        position >>= 1
        last >>= 1
    return last == 0 and before == old_root and after == root


def _largest_power(size: int) -> int:
    """The largest power of two below ``size``, where RFC 6962 splits a tree."""
    return 1 << (size - 1).bit_length() - 1
