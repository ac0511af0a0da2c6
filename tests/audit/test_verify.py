"""A whole log is checked from its files; whatever is done to them is found, and said where."""

from __future__ import annotations

import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ron_kms.audit.checkpoint import Checkpoint, sign
from ron_kms.audit.result import MAX_FINDINGS, Absent, Result
from ron_kms.audit.source import CHECKPOINT, Folder, read_minimum
from ron_kms.audit.tiles import encode_bundle, path
from ron_kms.audit.tree import Frontier, leaf_hash, merkle_root
from ron_kms.audit.verify import check_log
from ron_kms.errors import Malformed
from tests.audit.keys import signers
from tests.audit.logs import NOW, DiskLog, records
from tests.counts import count

SIZE = 700
"""Two full bundles and a partial one, of 188."""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> DiskLog:
    log = DiskLog(tmp_path_factory.mktemp("log"))
    log.grow(records(300))
    log.grow(records(SIZE - 300, 300))
    return log


@pytest.fixture
def folder(original: DiskLog, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original.folder, tmp_path / "0"))


def check(original: DiskLog, folder: Path, **options: object) -> Result:
    return check_log(Folder(folder), original.keys, **options)  # type: ignore[arg-type]


def edit(file: Path, change: Callable[[bytes], bytes]) -> None:
    file.write_bytes(change(file.read_bytes()))


def flip(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def told(result: Result) -> list[str]:
    return [str(finding) for finding in result.findings]


def test_a_whole_log(original: DiskLog, folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    result = check(original, folder, progress=lambda done, size: seen.append((done, size)))
    assert told(result) == []
    assert (result.whole, result.proven, result.records, result.absent) == (True, True, SIZE, [])
    assert result.verified is not None
    assert result.verified.checkpoint == original.checkpoints[SIZE]
    assert set(result.verified.signed) == set(original.keys)
    assert seen == [(256, SIZE), (512, SIZE), (SIZE, SIZE)]


def test_an_empty_log(tmp_path: Path) -> None:
    log = DiskLog(tmp_path)
    log.grow([])
    result = check_log(Folder(tmp_path), log.keys, expected=[log.checkpoints[0]])
    assert (told(result), result.proven, result.records) == ([], True, 0)


def test_a_log_that_has_grown_since_its_checkpoint(original: DiskLog, folder: Path) -> None:
    """A reader who has the older checkpoint finds full tiles where it looks for partial ones."""
    (folder / CHECKPOINT).write_bytes(original.notes[300])
    for part in ("tile/0/001.p", "tile/entries/001.p"):
        shutil.rmtree(folder / part)
    result = check(original, folder)
    assert (told(result), result.records) == ([], 300)


def test_a_flipped_bit_in_a_record(original: DiskLog, folder: Path) -> None:
    file = folder / path("entries", 1)
    at = sum(2 + len(record) for record in original.records[256:300])
    edit(file, flip(at + 10))
    result = check(original, folder)
    assert told(result)[-1] == f"tile/entries/001, byte {at}: record 300 was changed"
    assert result.findings[-1].record == 300
    assert result.proven  # by the hashes in the tile, which are right


def test_a_flipped_bit_in_a_record_of_the_partial_bundle(original: DiskLog, folder: Path) -> None:
    edit(folder / path("entries", 2, 188), flip(5))
    assert told(check(original, folder))[-1] == "tile/entries/002.p/188, byte 0: record 512 was changed"


def test_a_flipped_bit_in_a_tile(original: DiskLog, folder: Path) -> None:
    for level, number, width, at, record in ((0, 1, 256, 100, 259), (0, 2, 188, 0, 512)):
        edit(folder / path(level, number, width), flip(at))
        result = check(original, folder)
        place = f"{path(level, number, width)}, byte {at // 32 * 32}"
        assert told(result) == [f"{place}: the hash of record {record} was changed"]
        assert result.proven
        edit(folder / path(level, number, width), flip(at))


def test_a_flipped_bit_in_a_tile_above(original: DiskLog, folder: Path) -> None:
    edit(folder / path(1, 0, 2), flip(40))
    result = check(original, folder)
    assert told(result) == ["tile/1/000.p/2, byte 32: the hash of records 256 to 511 was changed"]
    assert result.proven


def test_a_truncated_tile(original: DiskLog, folder: Path) -> None:
    edit(folder / path(0, 1), lambda data: data[:100])
    assert told(check(original, folder)) == ["tile/0/001: a tile of 256 hashes has 8192 bytes, not 100"]


def test_a_truncated_bundle(original: DiskLog, folder: Path) -> None:
    edit(folder / path("entries", 1), lambda data: data[:1000])
    (finding,) = told(check(original, folder))
    assert finding.startswith("tile/entries/001: the bundle ends at byte 1000, within record ")


def test_a_record_cut_out(original: DiskLog, folder: Path) -> None:
    """From the middle of a bundle, whose number of records then is wrong."""
    bundle = original.records[256:512]
    (folder / path("entries", 1)).write_bytes(encode_bundle(bundle[:44] + bundle[45:]))
    (finding,) = told(check(original, folder))
    assert "after 255 of 256 records" in finding


def test_a_record_cut_out_and_the_others_moved_up(original: DiskLog, folder: Path) -> None:
    bundle = original.records[256:513]
    (folder / path("entries", 1)).write_bytes(encode_bundle(bundle[:44] + bundle[45:]))
    at = sum(2 + len(record) for record in bundle[:44])
    assert told(check(original, folder)) == [
        f"tile/entries/001, byte {at}: record 300 was cut out, and those behind it were moved up"
    ]


def test_a_record_changed_together_with_its_tile(original: DiskLog, folder: Path) -> None:
    forged = list(original.records[256:512])
    forged[44] = records(1, 9999)[0]
    (folder / path("entries", 1)).write_bytes(encode_bundle(forged))
    (folder / path(0, 1)).write_bytes(b"".join(map(leaf_hash, forged)))
    result = check(original, folder)
    assert told(result) == [
        "tile/1/000.p/2, byte 32: records 256 to 511 and their tiles are not those that this hash was made of"
    ]
    assert not result.proven


def forged_log(original: DiskLog, folder: Path, changed: list[bytes]) -> None:
    """All tiles and bundles made anew for other records; the checkpoint stays, for its keys are not had."""
    note = (folder / CHECKPOINT).read_bytes()
    shutil.rmtree(folder)
    forged = DiskLog(folder, original.origin)
    forged.grow(changed)
    (folder / CHECKPOINT).write_bytes(note)


def test_everything_made_anew_without_a_record(original: DiskLog, folder: Path) -> None:
    forged_log(original, folder, [*original.records[:300], *original.records[301:], records(1, 9999)[0]])
    result = check(original, folder)
    assert told(result) == ["checkpoint: the 700 records give another root than the checkpoint names"]
    assert not result.proven


def test_everything_made_anew_and_signed_by_others(original: DiskLog, folder: Path) -> None:
    shutil.rmtree(folder)
    DiskLog(folder, original.origin).grow(original.records)
    assert told(check(original, folder)) == ["checkpoint: the checkpoint is signed by none of the known keys"]


def test_one_of_two_keys_has_not_signed(original: DiskLog, folder: Path) -> None:
    for signer, other in (original.signers, original.signers[::-1]):
        (folder / CHECKPOINT).write_bytes(sign(original.checkpoints[SIZE], [signer], NOW))
        (finding,) = told(check(original, folder))
        key = f"the {other.key.algorithm} key {other.key.id.hex()} of {original.origin}"
        assert finding == f"checkpoint: {key} has not signed the checkpoint"


def test_two_logs_swapped(original: DiskLog, folder: Path, tmp_path: Path) -> None:
    other = DiskLog(tmp_path / "1", "deployment/node/1")
    other.grow(records(SIZE, 5000))
    (finding,) = told(check(original, other.folder))
    assert finding == "checkpoint: the checkpoint is signed by none of the known keys"
    (finding,) = told(check_log(Folder(folder), other.keys))
    assert finding == "checkpoint: the checkpoint is signed by none of the known keys"
    shutil.rmtree(other.folder / "tile")
    shutil.copytree(folder / "tile", other.folder / "tile")
    (finding,) = told(check_log(Folder(other.folder), other.keys))
    assert finding == "checkpoint: the 700 records give another root than the checkpoint names"


def test_a_key_of_another_log(original: DiskLog, folder: Path) -> None:
    stranger = signers("deployment/node/1")[0].key
    result = check_log(Folder(folder), [*original.keys, stranger])
    (finding,) = told(result)
    assert finding.endswith("of deployment/node/1 has not signed the checkpoint")


@pytest.mark.parametrize("note", [None, b"", b"not a note", b"a\n1\n\n\xe2\x80\x94 a AAAAAAA=\n"])
def test_no_checkpoint(original: DiskLog, folder: Path, note: bytes | None) -> None:
    (folder / CHECKPOINT).unlink()
    if note is not None:
        (folder / CHECKPOINT).write_bytes(note)
    result = check(original, folder)
    assert (len(told(result)), result.verified, result.proven) == (1, None, False)
    assert told(result)[0].startswith("checkpoint: ")


@pytest.mark.parametrize("part", [path(0, 1), path("entries", 1), path(0, 2, 188), path("entries", 2, 188)])
def test_a_lost_file(original: DiskLog, folder: Path, part: str) -> None:
    (folder / part).unlink()
    result = check(original, folder)
    assert told(result) == [f"{part}: it is missing"]
    assert result.proven


def test_a_lost_tile_above(original: DiskLog, folder: Path) -> None:
    (folder / path(1, 0, 2)).unlink()
    result = check(original, folder)
    assert (told(result), result.proven) == (["tile/1/000.p/2: it is missing"], True)


def test_a_bundle_and_its_tile_lost(original: DiskLog, folder: Path) -> None:
    """What is left is proven by the hash above; what cannot be is said."""
    for part in (path(0, 1), path("entries", 1)):
        (folder / part).unlink()
    result = check(original, folder)
    assert told(result) == ["tile/0/001: it is missing", "tile/entries/001: it is missing"]
    assert (result.proven, result.absent, result.records) == (True, [Absent(256, 511, False)], SIZE - 256)
    (folder / path(1, 0, 2)).unlink()
    result = check(original, folder)
    assert not result.proven
    assert "tile/0/001: nothing from record 256 on can be proven" in told(result)[-1]


def test_tiles_that_were_moved_away(original: DiskLog, folder: Path, tmp_path: Path) -> None:
    cold = tmp_path / "cold"
    for part in (path(0, 0), path("entries", 0), path(0, 1), path("entries", 1)):
        (cold / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder / part, cold / part)
    result = check(original, folder, minimum=512)
    assert (told(result), result.proven, result.absent) == ([], True, [Absent(0, 511, False)])
    result = check_log(Folder(folder, [cold]), original.keys)
    assert (told(result), result.absent, result.records) == ([], [], SIZE)
    shutil.rmtree(cold / "tile/0")
    result = check_log(Folder(folder, [cold]), original.keys, minimum=512)
    assert (told(result), result.proven, result.records) == ([], True, SIZE)
    result = check(original, folder, minimum=511)
    assert told(result) == ["tile/0/001: it is missing", "tile/entries/001: it is missing"]


def test_a_checkpoint_that_was_kept(original: DiskLog, folder: Path, tmp_path: Path) -> None:
    sizes = (0, 1, 255, 256, 300, 512, SIZE)
    kept = [Checkpoint(original.origin, size, merkle_root(original.records[:size])) for size in sizes]
    assert told(check(original, folder, expected=kept)) == []
    for checkpoint in kept:
        (finding,) = told(check(original, folder, expected=[checkpoint._replace(root=bytes(32))]))
        assert finding.startswith("checkpoint: the log does not go on from the kept checkpoint")
    (finding,) = told(check(original, folder, expected=[kept[-1]._replace(size=SIZE + 1)]))
    assert finding == "checkpoint: the log has 700 records, and had 701 when the kept checkpoint was made"
    (finding,) = told(check(original, folder, expected=[kept[1]._replace(origin="deployment/node/1")]))
    assert finding == "checkpoint: the checkpoint that was kept is of another log, deployment/node/1"


def test_a_kept_checkpoint_whose_tiles_were_moved_away(original: DiskLog, folder: Path) -> None:
    for part in (path(0, 0), path("entries", 0)):
        (folder / part).unlink()
    kept = [Checkpoint(original.origin, size, merkle_root(original.records[:size])) for size in (256, 300)]
    assert told(check(original, folder, expected=kept, minimum=256)) == []
    within = Checkpoint(original.origin, 100, merkle_root(original.records[:100]))
    (finding,) = told(check(original, folder, expected=[within], minimum=256))
    assert "cannot be told: tiles are missing" in finding


def test_an_older_state_put_back(original: DiskLog, tmp_path: Path) -> None:
    """Whole in itself: only whoever has kept a checkpoint can tell."""
    older = DiskLog(tmp_path / "older", original.origin, original.signers)
    older.grow(original.records[:300])
    assert check_log(Folder(older.folder), original.keys).whole
    assert not check_log(Folder(older.folder), original.keys, expected=[original.checkpoints[SIZE]]).whole


def test_the_minimum(folder: Path) -> None:
    source = Folder(folder)
    assert read_minimum(source) == 0
    (folder / "minimum").write_text("512\n")
    assert read_minimum(source) == 512
    for text in ("", "x", "-1", "1 2", "9" * 20, "\u0661"):
        (folder / "minimum").write_text(text)
        with pytest.raises(Malformed):
            read_minimum(source)


def test_what_is_no_regular_file_is_not_there(folder: Path) -> None:
    (folder / CHECKPOINT).unlink()
    os.mkfifo(folder / CHECKPOINT)
    assert Folder(folder).read(CHECKPOINT, 10) is None
    assert Folder(folder).read("tile", 10) is None
    assert Folder(folder).read("keys/beneath", 10) is None


def test_findings_are_bounded(original: DiskLog, folder: Path) -> None:
    garbage = [b"\x02" + bytes((number % 251, number // 251)) for number in range(SIZE)]
    forged_log(original, folder, garbage)
    result = check(original, folder)
    assert (len(result.findings), result.count) == (MAX_FINDINGS, SIZE)
    assert result.findings[5].record == 5


@settings(max_examples=count(60, 3000))
@given(data=st.data())
def test_whatever_is_changed_is_found(
    original: DiskLog, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any byte of any file that the checkpoint's tree consists of."""
    parts = [
        *(path(level, number) for level in (0, "entries") for number in (0, 1)),  # type: ignore[arg-type]
        path(0, 2, 188),
        path("entries", 2, 188),
        path(1, 0, 2),
        CHECKPOINT,
    ]
    folder = tmp_path_factory.mktemp("changed") / "0"
    shutil.copytree(original.folder, folder)
    part = data.draw(st.sampled_from(parts))
    file = folder / part
    whole = file.read_bytes()
    limit = len(whole) if part != CHECKPOINT else whole.index(b"\n\n")
    at = data.draw(st.integers(0, limit - 1))
    how = data.draw(st.sampled_from(["flip", "cut", "drop", "insert"]))
    edit(
        file,
        {
            "flip": flip(at),
            "cut": lambda content: content[:at],
            "drop": lambda content: content[:at] + content[at + 1 :],
            "insert": lambda content: content[:at] + b"\x00" + content[at:],
        }[how],
    )
    result = check(original, folder)
    assert not result.whole
    assert all(finding.file == part for finding in result.findings)
    shutil.rmtree(folder)


def test_a_long_log_has_more_levels(tmp_path: Path) -> None:
    """More than 256 tiles; bundles are absent but a few, so that this is quick."""
    size = 256 * 257 + 5
    leaves = [leaf_hash(number.to_bytes(4, "big")) for number in range(size)]
    frontier = Frontier()
    tiles = [*frontier.append(leaves), *frontier.partial()]
    log = DiskLog(tmp_path)
    for tile in tiles:
        log.put(path(tile.level, tile.number, tile.width), tile.data)
    checkpoint = Checkpoint(log.origin, size, frontier.root)
    log.put(CHECKPOINT, sign(checkpoint, log.signers, NOW))
    result = check_log(Folder(tmp_path), log.keys, minimum=size // 256 * 256)
    assert (told(result), result.proven) == ([f"{path('entries', 257, 5)}: it is missing"], True)
    for level, number, width, first, last in ((1, 0, 256, 512, 767), (2, 0, 1, 0, 65_535)):
        edit(tmp_path / path(level, number, width), flip(32 * (2 if level == 1 else 0)))
        result = check_log(Folder(tmp_path), log.keys, minimum=size // 256 * 256)
        assert f"the hash of records {first} to {last} was changed" in told(result)[-1]
        edit(tmp_path / path(level, number, width), flip(32 * (2 if level == 1 else 0)))


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    def peak(size: int) -> int:
        log = DiskLog(tmp_path / str(size))
        log.grow(records(size))
        del log.records[:]
        tracemalloc.start()
        try:
            assert check_log(Folder(log.folder), log.keys).whole
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(300)  # what is imported and compiled at first use
    small = peak(2_000)
    assert peak(count(8_000, 200_000)) < small + 200_000
