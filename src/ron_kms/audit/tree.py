"""The Merkle tree over the records (RFC 6962, section 2.1): its hashes, its growing edge, its tiles.

Tiles are those of C2SP tlog-tiles: 256 hashes in a row at every eighth level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from ron_kms import _core
from ron_kms.errors import Malformed

HASH_SIZE = 32
TILE_HEIGHT = 8
TILE_WIDTH = 256
EMPTY_ROOT = sha256(b"").digest()

Reader = Callable[[int, int, int], bytes]
"""Reads the tile of a level, number and width: 32 bytes for each hash, joined."""


class Tile(NamedTuple):
    """A row of hashes, 1 to 256.

    :ivar level: 0 is the leaves' hashes; those of level n + 1 are each the root of a full tile of level n.
    :ivar number: its place in the level; it begins at hash ``256 * number``.
    """

    level: int
    number: int
    hashes: tuple[bytes, ...]

    @property
    def width(self) -> int:
        return len(self.hashes)

    @property
    def data(self) -> bytes:
        """The hashes joined, as the tile is stored."""
        return b"".join(self.hashes)


def leaf_hash(record: bytes) -> bytes:
    return sha256(b"\0" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The root of the tree whose leaves are these, in their order; for a batch, the digests of its items."""
    return _core.merkle_root(leaves)


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over hashes of leaves, or of equally high full subtrees."""
    row = list(hashes)
    if not row:
        return EMPTY_ROOT
    while len(row) > 1:
        odd = row[-1:] if len(row) % 2 else []
        pairs = iter(row)
        # A last one without a partner goes up as it is: that is how RFC 6962 splits a tree which is not full.
        row = [node_hash(left, right) for left, right in zip(pairs, pairs, strict=False)] + odd
    return row[0]


def split(data: bytes, width: int) -> list[bytes]:
    """The hashes of a stored tile.

    :raises Malformed: it has not the size that its width says.
    """
    if len(data) != width * HASH_SIZE:
        raise Malformed(f"a tile of {width} hashes has {width * HASH_SIZE} bytes, not {len(data)}")
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]


def edge(size: int) -> list[tuple[int, int, int]]:
    """Level, number and width of the partial tiles of a tree; empty ones are not there."""
    found = []
    level = 0
    while size:
        size, width = divmod(size, TILE_WIDTH)
        if width:
            found.append((level, size, width))
        level += 1
    return found


class Frontier:
    """The right edge of a tree that grows: all that is needed to append, to tell the root and to write tiles.

    It holds at most 255 hashes a level and one for each bit of the size: some ten kilobytes at a million leaves.
    """

    __slots__ = ("_full", "_rows", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._full: list[bytes] = []
        """Roots of the full subtrees that the tree consists of, the largest first; one for each bit of the size."""
        self._rows: list[list[bytes]] = [[]]
        """The hashes of each level's partial tile."""

    @classmethod
    def restore(cls, size: int, read: Reader) -> Frontier:
        """The edge of a tree that is stored as tiles; only its partial ones are read.

        :raises Malformed: a tile has not the size that it must have.
        """
        frontier = cls()
        for level, number, width in edge(size):
            frontier._rows += [[] for _ in range(level + 1 - len(frontier._rows))]
            frontier._rows[level] = split(read(level, number, width), width)
        for row in reversed(frontier._rows):
            at = 0
            for height in reversed(range(TILE_HEIGHT)):
                if len(row) >> height & 1:
                    frontier._full.append(fold(row[at : at + (1 << height)]))
                    at += 1 << height
        frontier._size = size
        return frontier

    @property
    def size(self) -> int:
        """How many leaves the tree has."""
        return self._size

    @property
    def root(self) -> bytes:
        """The root of the tree as it is now (RFC 6962's Merkle Tree Hash)."""
        if not self._full:
            return EMPTY_ROOT
        root = self._full[-1]
        for left in reversed(self._full[:-1]):
            root = node_hash(left, root)
        return root

    def append(self, leaves: Iterable[bytes]) -> list[Tile]:
        """Add leaves by their hashes (:func:`leaf_hash`).

        :returns: the tiles that this made full, a lower level before a higher one.
        """
        tiles: list[Tile] = []
        for leaf in leaves:
            self._rows[0].append(leaf)
            self._push(leaf, 0, tiles)
        return tiles

    def append_tile(self, root: bytes) -> list[Tile]:
        """Add 256 leaves at once, by the root of their tile; the size must be a multiple of 256.

        :returns: the tiles that this made full, above that one.
        """
        if self._size % TILE_WIDTH:
            raise ValueError("a tile cannot begin here")
        tiles: list[Tile] = []
        self._rise(root, 1)
        self._push(root, TILE_HEIGHT, tiles)
        return tiles

    def _push(self, node: bytes, height: int, tiles: list[Tile]) -> None:
        """Add the root of a full subtree, and join it with those as high as it."""
        rows, full, size = self._rows, self._full, self._size
        self._size = size + (1 << height)
        rest = size >> height
        while rest & 1:
            node = node_hash(full.pop(), node)
            height += 1
            rest >>= 1
            if height % TILE_HEIGHT == 0:
                level = height // TILE_HEIGHT - 1
                tiles.append(Tile(level, size >> height, tuple(rows[level])))
                rows[level] = []
                self._rise(node, level + 1)
        full.append(node)

    def _rise(self, node: bytes, level: int) -> None:
        if level == len(self._rows):
            self._rows.append([])
        self._rows[level].append(node)

    def partial(self) -> list[Tile]:
        """The partial tiles of the tree as it is now: what a checkpoint of this size needs beside the full ones."""
        return [Tile(level, number, tuple(self._rows[level])) for level, number, _ in edge(self._size)]
