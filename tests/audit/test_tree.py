"""The tree, its tiles and its proofs: against the definition, and against published vectors."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ron_kms.audit.proofs import StoredTree, check_consistency, check_inclusion
from ron_kms.audit.tree import EMPTY_ROOT, Frontier, edge, fold, leaf_hash, merkle_root, split
from ron_kms.errors import Malformed
from tests.audit import naive
from tests.counts import count

# The tree of Certificate Transparency's tests: eight leaves, the roots of its beginnings.
CT_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def grown(size: int) -> tuple[Frontier, dict[tuple[int, int, int], bytes], list[bytes]]:
    """A tree of numbered leaves, the tiles that belong to it, its leaves."""
    leaves = [number.to_bytes(4, "big") for number in range(size)]
    frontier = Frontier()
    full = frontier.append(leaf_hash(leaf) for leaf in leaves)
    tiles = {(tile.level, tile.number, tile.width): tile.data for tile in [*full, *frontier.partial()]}
    return frontier, tiles, leaves


@pytest.fixture(scope="module")
def large() -> tuple[Frontier, dict[tuple[int, int, int], bytes], list[bytes]]:
    """As in tlog-tiles' example."""
    return grown(70_000)


@pytest.mark.parametrize("size", range(9))
def test_the_published_tree(size: int) -> None:
    frontier = Frontier()
    frontier.append(map(leaf_hash, CT_LEAVES[:size]))
    assert frontier.root.hex() == merkle_root(CT_LEAVES[:size]).hex() == CT_ROOTS[size]


def test_the_published_proofs() -> None:
    """Their audit path of leaf 1 of 8 and the proof from 1 to 8 and from 6 to 8."""
    frontier = Frontier()
    frontier.append(map(leaf_hash, CT_LEAVES))
    tree = StoredTree(8, lambda level, index, width: frontier.partial()[0].data)
    assert [step.hex() for step in tree.inclusion(0)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [step.hex() for step in tree.consistency(6)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@pytest.mark.parametrize("size", [*range(10), 255, 256, 257, 511, 513, 1000])
def test_as_the_definition_says(size: int) -> None:
    frontier, tiles, leaves = grown(size)
    tree = StoredTree(size, lambda *place: tiles[place])
    root = naive.root(leaves)
    assert frontier.size == size
    assert frontier.root == tree.root() == merkle_root(leaves) == fold([leaf_hash(leaf) for leaf in leaves]) == root
    for index in {0, 1, size // 3, size // 2, size - 2, size - 1} & set(range(size)):
        proof = tree.inclusion(index)
        assert proof == naive.path(index, leaves)
        assert check_inclusion(leaf_hash(leaves[index]), index, size, root, proof)
    for old in {0, 1, 2, size // 3, size // 2, 2 ** (size.bit_length() - 1), size - 1, size} & set(range(size + 1)):
        proof = tree.consistency(old)
        assert proof == naive.proof(old, leaves)
        assert check_consistency(old, naive.root(leaves[:old]), size, root, proof)


@given(data=st.data(), size=st.integers(1, 600))
def test_a_proof_is_of_one_thing_only(data: st.DataObject, size: int) -> None:
    frontier, tiles, leaves = grown(size)
    tree = StoredTree(size, lambda *place: tiles[place])
    index = data.draw(st.integers(0, size - 1))
    leaf, proof, root = leaf_hash(leaves[index]), tree.inclusion(index), frontier.root
    assert check_inclusion(leaf, index, size, root, proof)
    other = data.draw(st.integers(-1, size + 5).filter(lambda number: number != index))
    assert not check_inclusion(leaf, other, size, root, proof)
    assert not check_inclusion(leaf_hash(b"another"), index, size, root, proof)
    assert not check_inclusion(leaf, index, size, leaf_hash(b"another"), proof)
    assert not check_inclusion(leaf, index, size, root, [*proof, root])
    if proof:
        assert not check_inclusion(leaf, index, size, root, proof[:-1])
        assert not check_inclusion(leaf, index, size, root, [*proof[:-1], bytes(32)])

    old = data.draw(st.integers(1, size))
    before, proof = naive.root(leaves[:old]), tree.consistency(old)
    assert check_consistency(old, before, size, root, proof)
    assert not check_consistency(old, leaf_hash(b"another"), size, root, proof)
    assert not check_consistency(old, before, size, leaf_hash(b"another"), proof)
    assert not check_consistency(old, before, size, root, [*proof, root])
    assert not check_consistency(old, before, old - 1, root, proof)
    if proof:
        assert not check_consistency(old, before, size, root, proof[:-1])
        assert not check_consistency(old, before, size, root, [])


@given(parts=st.lists(st.integers(0, 400), max_size=5))
def test_it_does_not_matter_how_it_grew_and_where_it_was_put_down(parts: list[int]) -> None:
    frontier = Frontier()
    tiles = {}
    leaves: list[bytes] = []
    for part in parts:
        fresh = [len(leaves + [b""] * number).to_bytes(4, "big") for number in range(part)]
        leaves += fresh
        full = frontier.append(map(leaf_hash, fresh))
        tiles |= {(tile.level, tile.number, tile.width): tile.data for tile in [*full, *frontier.partial()]}
        root = frontier.root
        frontier = Frontier.restore(len(leaves), lambda *place: tiles[place])  # noqa: B023 - read at once
        assert (frontier.root, frontier.size) == (root, len(leaves))
    assert frontier.root == merkle_root(leaves)


@given(known=st.lists(st.booleans(), max_size=5), rest=st.integers(0, 255))
def test_a_tile_counts_by_its_root_where_it_is_not_known(known: list[bool], rest: int) -> None:
    _, tiles, leaves = grown(256 * len(known) + rest)
    frontier = Frontier()
    for number, here in enumerate(known):
        hashes = split(tiles[0, number, 256], 256)
        if here:
            (full,) = frontier.append(hashes)
            assert full.data == tiles[0, number, 256]
        else:
            assert frontier.append_tile(fold(hashes)) == []
    frontier.append(map(leaf_hash, leaves[256 * len(known) :]))
    assert (frontier.size, frontier.root) == (len(leaves), naive.root(leaves))
    assert {(tile.level, tile.number, tile.width): tile.data for tile in frontier.partial()} == {
        place: data for place, data in tiles.items() if place[2] < 256
    }
    if rest:
        with pytest.raises(ValueError, match="cannot begin here"):
            frontier.append_tile(bytes(32))


def test_the_tiles_of_the_example(large: tuple[Frontier, dict[tuple[int, int, int], bytes], list[bytes]]) -> None:
    """273 full tiles of level 0 and one of width 112, one full of level 1 and one of width 17, one of level 2."""
    frontier, tiles, leaves = large
    assert len([1 for level, _, width in tiles if (level, width) == (0, 256)]) == 273
    assert {place for place in tiles if place[0] > 0 or place[2] < 256} == {
        (0, 273, 112),
        (1, 0, 256),
        (1, 1, 17),
        (2, 0, 1),
    }
    assert edge(70_000) == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    assert frontier.root == merkle_root(leaves)
    assert Frontier.restore(70_000, lambda *place: tiles[place]).root == frontier.root


def test_proofs_of_a_large_tree(large: tuple[Frontier, dict[tuple[int, int, int], bytes], list[bytes]]) -> None:
    frontier, tiles, leaves = large
    tree = StoredTree(len(leaves), lambda *place: tiles[place])
    for index in (0, 255, 256, 65_535, 65_536, 69_887, 69_888, 69_999):
        assert check_inclusion(leaf_hash(leaves[index]), index, 70_000, frontier.root, tree.inclusion(index))
    for old in (1, 256, 65_535, 65_536, 65_537, 69_888, 69_999):
        assert check_consistency(old, merkle_root(leaves[:old]), 70_000, frontier.root, tree.consistency(old))


def test_what_is_not_there() -> None:
    frontier, tiles, _ = grown(5)
    tree = StoredTree(5, lambda *place: tiles[place])
    for index in (-1, 5):
        with pytest.raises(IndexError):
            tree.inclusion(index)
    for old in (-1, 6):
        with pytest.raises(IndexError):
            tree.consistency(old)
    assert Frontier().root == StoredTree(0, lambda *place: b"").root() == EMPTY_ROOT
    assert check_consistency(0, EMPTY_ROOT, 5, frontier.root, [])
    assert not check_consistency(0, frontier.root, 5, frontier.root, [])


def test_a_tile_of_a_wrong_size_is_refused() -> None:
    for size in (0, 31, 33, 64):
        with pytest.raises(Malformed, match=f"has 32 bytes, not {size}"):
            split(bytes(size), 1)
    with pytest.raises(Malformed):
        Frontier.restore(3, lambda *place: bytes(95))


@pytest.mark.parametrize("size", [count(3000, 300_000)])
def test_a_frontier_stays_small(size: int) -> None:
    frontier, _, _ = grown(size)
    assert len(frontier._full) == size.bit_count()
    assert sum(map(len, frontier._rows)) <= 255 * len(frontier._rows)


@given(st.lists(st.binary(max_size=200), max_size=70))
def test_the_tree_over_a_batch(leaves: list[bytes]) -> None:
    assert merkle_root(leaves) == naive.root(leaves) == fold([leaf_hash(leaf) for leaf in leaves])


def test_leaves_are_bytes_that_cannot_change() -> None:
    for leaf in (bytearray(b"leaf"), "leaf", None):
        with pytest.raises(TypeError, match="a leaf is bytes, not"):
            merkle_root([b"leaf", leaf])  # type: ignore[list-item]


def test_the_root_of_an_empty_batch() -> None:
    assert base64.b64encode(merkle_root([])) == b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
